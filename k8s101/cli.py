"""The `k8s101` command."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from k8s101 import utf8
from k8s101.cluster.access import probe
from k8s101.cluster.backends import kinds
from k8s101.cluster.facade import adopt, dryrun, extras, part, place, selfcheck
from k8s101.cluster.facade import cluster as clusters
from k8s101.cluster.facade import doctor as examination
from k8s101.cluster.facade import reset as resetting
from k8s101.cluster.images import loading
from k8s101.cluster.values.settings import ROOT, SYSTEM_STATE
from k8s101.errors import Problem

NO_CLUSTER = "there is no cluster"


class Commands(click.Group):
    """A group whose commands end with a three-part message instead of a traceback."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run with UTF-8, whatever the locale."""
        utf8.ensure()
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; exit 1 on a problem, 130 on Ctrl-C."""
        try:
            return super().invoke(ctx)
        except (Problem, OSError) as error:
            lost = isinstance(error, OSError) and error.errno == errno.EPIPE and _nobody_reads()
            if os.environ.get("K8S101_DEBUG") or lost:
                raise  # click ends quietly when its output cannot be written
            click.secho(f"error: {_explained(error)}", fg="red", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("\ninterrupted; the same command goes on from there, k8s101 down cleans up", err=True)
            ctx.exit(130)


def _nobody_reads() -> bool:
    """Tell whether whoever read our output has gone, as `head` does when it has its lines."""
    outputs = select.poll()
    for stream in (sys.stdout, sys.stderr):
        # a stream that is no file has no reader that could go
        with contextlib.suppress(io.UnsupportedOperation):
            outputs.register(stream.fileno(), 0)
    return any(state & select.POLLERR for _, state in outputs.poll(0))


def _explained(error: Problem | OSError) -> Problem:
    """Return an error as a problem; the machine's own errors are full disks, refused files, lost connections."""
    if isinstance(error, Problem):
        return error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        then = "free some space (df -h shows what is full) and run this again"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        then = "sudo -E k8s101 …, or set K8S101_STATE to a directory that can be written"
    else:
        then = "k8s101 doctor"
    return Problem(str(error.strerror or error), where=str(error.filename or place.state_dir()), then=then)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="k8s101")
def main() -> None:
    """A real Kubernetes on this machine, for the notebooks of Kubernetes 101.

    \b
    k8s101 up            start it, or repair what is not running
    k8s101 status        what runs
    k8s101 stop worker-2 let a node die
    k8s101 down          remove everything
    """


def _found() -> clusters.Cluster:
    if cluster := clusters.find():
        return cluster
    raise Problem(NO_CLUSTER, where=str(place.state_dir()), then="k8s101 up")


def _needs_root() -> None:
    state = place.state_dir()
    if os.getuid() != 0 and state == SYSTEM_STATE:
        raise Problem("this command needs root", where=str(state), then=f"sudo -E {' '.join(sys.argv)}")


def _echo(line: str) -> None:
    click.echo(f"  {line}", err=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@main.command()
@click.option("--backend", type=click.Choice(kinds.MADE), help="Kind of a new cluster; the most real one if left out.")
@click.option("--nodes", default=3, show_default=True, type=click.IntRange(1), help="Worker nodes of a new cluster.")
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path), help="Use a cluster of yours instead (kind, k3d, cloud)."
)
@click.option("--context", help="Which one of that file; its current one if left out.")
@click.option("--yes", is_flag=True, help="Use that cluster without asking.")
@click.option("--check/--no-check", default=True, show_default=True, help="Prove it with a small app at the end.")
@click.option("--dry-run", is_flag=True, help="Only print every process that would run, with its arguments.")
def up(
    backend: str | None,
    nodes: int,
    kubeconfig: Path | None,
    context: str | None,
    yes: bool,
    check: bool,
    dry_run: bool,
) -> None:
    """Start the cluster, or repair what is not running of it.

    Root gets real nodes; others get what this machine allows them.
    """
    if dry_run:
        click.echo(dryrun.plan(backend, nodes))
        return
    # SIGTERM must clean up like Ctrl-C does
    signal.signal(signal.SIGTERM, _interrupt)
    if kubeconfig:
        adopt.adopt(place.state_dir(), kubeconfig, context, lambda found: yes or _confirmed(found))
    cluster = clusters.up(_echo, backend=backend, node_count=nodes)
    resetting.record_once(cluster)
    if check:
        click.echo(selfcheck.run(cluster))
    click.echo(f"kubeconfig: {cluster.settings.kubeconfig}\nnext: make lab, or k8s101 status")


def _confirmed(found: str) -> bool:
    if not sys.stdin.isatty():
        raise Problem("nobody is here to confirm the cluster", where=found, then="add --yes if it is the right one")
    click.echo(f"{found}\nThe workshop will make and delete namespaces named k8s101-… in it.", err=True)
    return click.confirm("Use this cluster?", err=True)


@main.command()
def down() -> None:
    """Remove the cluster and everything it made on this machine."""
    _needs_root()
    if (cluster := clusters.find()) and not cluster.ours:
        extras.take_back(cluster, _echo)
    click.echo("removed" if clusters.down(report=_echo) else NO_CLUSTER)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Say what runs; exit 0 when all of it does, 1 when a part does not, 2 without a cluster."""
    cluster = clusters.find()
    if cluster is None or not cluster.running():
        word = "absent" if cluster is None else "stopped"
        click.echo(json.dumps({"cluster": word}) if as_json else f"cluster {word}; k8s101 up starts it")
        sys.exit(2 if cluster is None else 1)
    if not cluster.ours:
        cluster.backend.connect(cluster.settings)
        found = probe.load(cluster.settings.state).description()
        click.echo(json.dumps({"cluster": "running", "parts": []}) if as_json else f"in use: {found}")
        return
    rows = cluster.parts()
    if as_json:
        parts = [{"name": p.name, "state": p.state, "pid": p.pid} for p in rows]
        click.echo(json.dumps({"cluster": "running", "parts": parts}, indent=2))
    else:
        for part in rows:
            click.secho(f"{part.name:26}{part.state.lower()}", fg=None if part.state == "RUNNING" else "red")
    sys.exit(0 if all(p.state == "RUNNING" for p in rows) else 1)


@main.command()
def reset() -> None:
    """Bring the cluster back to the state after its first start: objects, nodes, components."""
    seconds = resetting.reset(_found(), _echo)
    click.echo(f"pristine after {seconds:.1f} s")


@main.command()
@click.argument("names", nargs=-1)
def stop(names: tuple[str, ...]) -> None:
    """Stop components or nodes, or without NAMES the whole cluster, its state kept."""
    cluster = _found()
    if not names:
        _needs_root()
        clusters.stop(cluster)
    _each(cluster, "stop", names)


@main.command()
@click.argument("names", nargs=-1)
def start(names: tuple[str, ...]) -> None:
    """Start components or nodes, or without NAMES the whole cluster."""
    cluster = _found()
    if not names:
        _needs_root()
        clusters.up(_echo)
    _each(cluster, "start", names)


def _each(cluster: clusters.Cluster, verb: str, names: tuple[str, ...]) -> None:
    for name in names:
        getattr(cluster.part(name), verb)()
        click.echo(f"{name}: {verb}ed" if verb == "start" else f"{name}: stopped")


@main.group()
def images() -> None:
    """The workshop's container images."""


@images.command()
@click.option(
    "--into", "tool", required=True, type=click.Choice(sorted(loading.COMMANDS)), help="What made the cluster."
)
@click.argument("name", required=False)
def load(tool: str, name: str | None) -> None:
    """Load the images into a cluster that kind, k3d or minikube made; NAME where it is not the usual one."""
    loading.load(tool, name)
    click.echo(f"loaded into {name or loading.COMMANDS[tool].usual}")


@main.group()
def addons() -> None:
    """What can be added to the cluster: metrics, addresses for load balancers, …"""


@addons.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_addons(as_json: bool) -> None:
    """Say what there is, and what of it this cluster has."""
    rows = extras.rows(clusters.find())
    if as_json:
        click.echo(json.dumps([row.__dict__ for row in rows], indent=2))
        return
    width = max(len(row.name) for row in rows)
    for row in rows:
        word = {True: "enabled", False: "disabled", None: "-"}[row.enabled]
        lacking = f" (this cluster lacks {', '.join(row.lacking)})" if row.lacking else ""
        users = f", used by {', '.join(row.users)}" if row.users else ""
        click.echo(f"{row.name:{width}}  {word:8}  {row.summary}{lacking}{users}")


USER = click.option(
    "--for", "user", envvar="K8S101_LESSON", default="you", show_default=True, help="Who uses it, such as a lesson."
)


@addons.command()
@click.argument("names", nargs=-1, required=True)
@USER
def enable(names: tuple[str, ...], user: str) -> None:
    """Bring add-ons into the cluster and wait until they work.

    Their programs are built when first needed, which takes minutes; Ctrl-C is safe, the next try goes on there.
    """
    extras.enable(_found(), names, user, click.echo)


@addons.command()
@click.argument("names", nargs=-1, required=True)
@USER
@click.option("--force", is_flag=True, help="Also where others use it.")
def disable(names: tuple[str, ...], user: str, force: bool) -> None:
    """Take add-ons out of the cluster, until nothing of them is left."""
    extras.disable(_found(), names, user, click.echo, force=force)


@main.command()
@click.argument("name")
@click.option("--lines", "-n", default=50, show_default=True, help="How many lines from the end.")
@click.option("--follow", "-f", is_flag=True, help="Go on printing what comes.")
def logs(name: str, lines: int, follow: bool) -> None:
    """Print the log of a component (kube-scheduler) or of a node's component (worker-1/kubelet)."""
    path = part.log_file(_found().settings, name)
    command = ["tail", f"--lines={lines}", *(["--follow=name"] if follow else []), str(path)]
    sys.exit(subprocess.run(command).returncode)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Examine machine, binaries and cluster; exit 1 when something is in the way."""
    findings = examination.examine()
    if as_json:
        click.echo(json.dumps([f.__dict__ for f in findings], indent=2))
    else:
        for finding in findings:
            click.secho(f"{'ok  ' if finding.good else 'FAIL'} {finding.what}", fg=None if finding.good else "red")
            if not finding.good:
                click.echo(f"     next: {finding.then}")
    sys.exit(0 if all(f.good for f in findings) else 1)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(arguments: tuple[str, ...]) -> None:
    """Open JupyterLab on loopback with the learner's copies of the notebooks."""
    from k8s101.notebook import lab as jupyter

    jupyter.open_lab(arguments)


@main.command()
@click.argument("number", metavar="[NN]", required=False)
@click.option("--command", "-c", help="Run this instead of a prompt.")
def shell(number: str | None, command: str | None) -> None:
    """Open a terminal in which kubectl works as in the cells of a lesson.

    With NN it begins in the folder of that module's files and in its namespace, else in those of the lesson
    that was opened last.
    """
    from k8s101.notebook import terminal

    terminal.run(number, command)


@main.command()
def progress() -> None:
    """Print what you have predicted and solved, as JSON; it is kept on this machine only."""
    from k8s101.lesson.quiz import progress as kept

    click.echo(kept.export(kept.entries()))


@main.command()
@click.option("--all", "everything", is_flag=True, help="Also run what takes long.")
def test(everything: bool) -> None:
    """Run all tests on a cluster of their own (the same as make test)."""
    if not (ROOT / "tools/testing.py").is_file():
        raise Problem("the tests are part of the checkout", where=str(ROOT), then="git clone it, then make test")
    command = [sys.executable, "-m", "tools.testing", *(["--all"] if everything else [])]
    sys.exit(subprocess.run(command, cwd=ROOT).returncode)


if __name__ == "__main__":
    main()
