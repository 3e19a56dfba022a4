"""Official release files: checked, resumed, refused, and skipped at once where there is no network."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import time
from pathlib import Path

import pytest

from k8s101.cluster.programs import binaries, downloads
from k8s101.cluster.programs.projects import PROJECTS
from k8s101.cluster.programs.toolchain import Project, Release, architecture
from k8s101.cluster.values.progress import Progress
from k8s101.errors import Problem
from tests.unit.binaries_fixtures import VERSION, ReleaseServer, archive, place, program, server, tiny

__all__ = ["place", "server"]


@pytest.fixture
def project(place: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The tiny project, with one release file for each tool."""
    monkeypatch.delenv("K8S101_DOWNLOAD")
    return tiny(place, Release("https://releases.example/{version}/{arch}/{tool}"))


def at(tool: str) -> str:
    return f"/{VERSION}/{architecture()}/{tool}"


def says(path: Path) -> str:
    answer = subprocess.run([path], capture_output=True, text=True, check=True)
    return (answer.stdout + answer.stderr).strip()


def test_addresses_of_the_real_release_files() -> None:
    arch = architecture()
    by_name = {project.name: project for project in PROJECTS}
    kubelet = next(tool for tool in by_name["kubernetes"].tools if tool.name == "kubelet")
    url = by_name["kubernetes"].url(kubelet)
    version = by_name["kubernetes"].version
    assert url == f"https://dl.k8s.io/release/{version}/bin/linux/{arch}/kubelet"
    assert by_name["kubernetes"].checksums_url(url) == f"{url}.sha256"
    etcd = by_name["etcd"]
    url = etcd.url(etcd.tools[0])
    base = f"https://github.com/etcd-io/etcd/releases/download/{etcd.version}"
    assert url == f"{base}/etcd-{etcd.version}-linux-{arch}.tar.gz"
    assert etcd.checksums_url(url) == f"{base}/SHA256SUMS"
    assert by_name["kwok"].url(by_name["kwok"].tools[0]) is None


def test_a_release_file_is_taken_and_is_executable(server: ReleaseServer, project: Project) -> None:
    server.publish(at("one"), program("one as released"))
    seen: list[Progress] = []
    path = binaries.ensure(["one"], seen.append, [project])["one"]
    assert says(path) == "one as released"
    assert seen[-1].unit == "bytes"
    assert seen[-1].done == seen[-1].total == 200_000


def test_an_archive_gives_all_tools_of_its_component(server: ReleaseServer, place: Path, project: Project) -> None:
    project = tiny(place, Release("https://releases.example/tiny-{version}.tar.gz", "{base}/SHA256SUMS"))
    body = archive({"tiny/bin/one": program("one"), "tiny/bin/two": program("two"), "tiny/README": b"read"})
    server.files[f"/tiny-{VERSION}.tar.gz"] = body
    digest = hashlib.sha256(body).hexdigest()
    server.files["/SHA256SUMS"] = f"{'0' * 64}  other.tar.gz\n{digest} *./tiny-{VERSION}.tar.gz\n".encode()
    paths = binaries.ensure(["one", "two"], projects=[project])
    assert [says(path) for path in paths.values()] == ["one", "two"]
    assert sorted(path.name for path in binaries.bin_dir(project).iterdir()) == ["one", "two"]
    assert [path for path, _ in server.asked] == ["/SHA256SUMS", f"/tiny-{VERSION}.tar.gz"]


def test_a_wrong_checksum_is_a_problem_and_nothing_is_kept(server: ReleaseServer, project: Project) -> None:
    server.publish(at("one"), program("one, altered"), "f" * 64)
    with pytest.raises(Problem, match=f"publishes {'f' * 64}") as raised:
        binaries.ensure(["one"], projects=[project])
    assert raised.value.where == f"{server.url}{at('one')}"
    assert "K8S101_DOWNLOAD=never" in raised.value.then
    assert not binaries.bin_dir(project).exists()
    assert not list(binaries.bin_dir(project).parent.glob(".parts/*"))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_transfer_is_finished(server: ReleaseServer, project: Project, ranges: bool) -> None:
    server.publish(at("one"), program("one as released"))
    server.cut, server.ranges = 2, ranges
    assert says(binaries.ensure(["one"], projects=[project])["one"]) == "one as released"
    spans = [span for path, span in server.asked if path == at("one")]
    assert len(spans) == 3
    assert spans[0] == ""
    assert all(span.startswith("bytes=") for span in spans[1:])


def test_a_transfer_that_always_breaks_ends_in_a_build(server: ReleaseServer, project: Project) -> None:
    server.publish(at("one"), program("one as released", 2_000_000))
    server.cut, server.ranges = 99, False
    seen: list[Progress] = []
    assert says(binaries.ensure(["one"], seen.append, [project])["one"]).startswith(f"one {VERSION}")
    assert any("will be built" in progress.message for progress in seen)


def test_what_an_earlier_run_fetched_is_used(server: ReleaseServer, project: Project) -> None:
    body = program("one as released")
    server.publish(at("one"), body)
    part = binaries.bin_dir(project).parent / ".parts" / f"{VERSION}-one"
    part.parent.mkdir(parents=True)
    part.write_bytes(body[:150_000])
    assert says(binaries.ensure(["one"], projects=[project])["one"]) == "one as released"
    assert server.asked[-1] == (at("one"), "bytes=150000-")
    assert not part.exists()


@pytest.mark.parametrize("size", [150_000, 200_000, 300_000])
def test_a_spoilt_part_of_an_earlier_run_is_fetched_again(server: ReleaseServer, project: Project, size: int) -> None:
    server.publish(at("one"), program("one as released"))
    part = binaries.bin_dir(project).parent / ".parts" / f"{VERSION}-one"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * size)
    assert says(binaries.ensure(["one"], projects=[project])["one"]) == "one as released"


def test_a_missing_file_or_checksum_ends_in_a_build(server: ReleaseServer, project: Project) -> None:
    server.files[at("two")] = program("two without a checksum")
    paths = binaries.ensure(["one", "two"], projects=[project])
    assert says(paths["one"]).startswith(f"one {VERSION}")
    assert says(paths["two"]) == f"two {VERSION}"


def test_never_means_that_nobody_is_asked(
    server: ReleaseServer, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K8S101_DOWNLOAD", "never")
    server.publish(at("one"), program("one as released"))
    assert says(binaries.ensure(["one"], projects=[project])["one"]).startswith(f"one {VERSION}")
    assert server.asked == []


def test_a_silent_server_is_given_up_within_two_seconds_and_asked_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        start = time.monotonic()
        assert not downloads.reachable(url)
        assert time.monotonic() - start < 10
        start = time.monotonic()
        assert not downloads.reachable(url)
        assert time.monotonic() - start < 1


def test_a_closed_port_and_an_unknown_name_are_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    start = time.monotonic()
    assert not downloads.reachable(f"http://127.0.0.1:{port}/file")
    assert not downloads.reachable("https://host.invalid/file")
    assert time.monotonic() - start < 15


def test_a_mirror_takes_the_place_of_its_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S101_MIRRORS", "dl.k8s.io=http://near/k8s/,github.com=https://far")
    assert downloads.mirrored("https://dl.k8s.io/release/x") == "http://near/k8s/release/x"
    assert downloads.mirrored("https://github.com/a/b") == "https://far/a/b"
    assert downloads.mirrored("https://example.org/a") == "https://example.org/a"


def test_a_mirror_that_is_none_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S101_MIRRORS", "near")
    with pytest.raises(Problem, match="K8S101_MIRRORS"):
        downloads.mirrored("https://dl.k8s.io/release/x")


@pytest.mark.parametrize(("spoil", "code", "word"), [(None, 0, "right"), ("sum", 1, "WRONG"), ("file", 1, "WRONG")])
def test_verify_tells_right_from_wrong(
    server: ReleaseServer,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: str | None,
    code: int,
    word: str,
) -> None:
    monkeypatch.setattr(downloads, "PROJECTS", (project,))
    server.publish(at("one"), program("one"))
    server.publish(at("two"), program("two"), "f" * 64 if spoil == "sum" else None)
    if spoil == "file":
        del server.files[at("two")]
    assert downloads.verify(lambda _: None) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("right: https://releases.example/")
    assert word in "\n".join(lines[1:])


def test_verify_says_what_it_could_not_check(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("K8S101_MIRRORS", "releases.example=http://127.0.0.1:9")
    monkeypatch.setattr(downloads, "PROJECTS", (project,))
    assert downloads.verify(lambda _: None) == 3
    assert capsys.readouterr().out.count("not checked, its server cannot be reached") == 2
