"""`k8s101 lab`: everything between a fresh machine and an open notebook, with what JupyterLab is told at its start."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click

from k8s101 import utf8
from k8s101.cluster.backends import kinds
from k8s101.cluster.values.settings import cache_dir
from k8s101.errors import Problem
from k8s101.lesson.api.environment import STABLE
from k8s101.lesson.cells import files
from k8s101.notebook import server
from k8s101.notebook.document import Tree
from k8s101.notebook.environment import teach_kernels

PORT = 8888
END_SECONDS = 10
"""How long JupyterLab may take to end its kernels before it is killed."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

JUPYTER_CONFIG = Path(__file__).parent / "jupyter"
"""Settings of JupyterLab for this workshop; a learner's own ones stay in force beside them."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--port",
    default=PORT,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port on loopback; the next free one if it is taken.",
)
@click.option(
    "--browser/--no-browser", default=True, show_default=True, help="Open the browser, or print the URL only."
)
@click.option("--fresh", metavar="NN", help="Begin this module anew; your old copy is kept beside it.")
def main(port: int, browser: bool, fresh: str | None) -> None:
    """Start the cluster and open JupyterLab on loopback with your copies of the notebooks."""
    tree = Tree()
    copy_notebooks(tree, fresh)
    start_cluster()
    try:
        run_jupyter(tree, port, browser=browser)
    finally:
        click.echo(f"\nJupyterLab has ended. The cluster goes on; to remove it: {_typed('down')}", err=True)


def open_lab(arguments: Sequence[str]) -> None:
    """Do what `k8s101 lab` does.

    Args:
        arguments: the options, see `k8s101 lab --help`.

    Raises:
        Problem: something is missing or did not start.
    """
    with main.make_context("k8s101 lab", list(arguments)) as context:
        main.invoke(context)


def start_cluster() -> None:
    """Start the most real cluster that this user can have, unless all of it runs, and prove that it works.

    Raises:
        Problem: it cannot be started, or does not work.
    """
    from k8s101.cluster.facade import cluster, place, selfcheck

    kind = prepare(_kind())
    if not _all_runs():
        _up(kind)
    found = cluster.find()
    if found is None:
        raise Problem("the cluster is gone again", where=str(place.state_dir()), then="k8s101 doctor")
    click.echo(selfcheck.run(found))


def _kind() -> str:
    """Return the backend of the cluster that is there, else of the one to be made."""
    from k8s101.cluster.facade import cluster

    if found := cluster.find():
        return found.settings.backend
    return kinds.most_real(with_sudo=shutil.which("sudo") is not None)


def prepare(kind: str) -> str:
    """Make sure, with a progress display, that programs and images are there, in the cache of this user.

    Args:
        kind: the backend that needs them.

    Returns:
        The backend: simulated nodes where a guest cannot be had.

    Raises:
        Problem: something could not be had.
    """
    from k8s101.cluster.facade import cluster
    from k8s101.cluster.values.progress import display

    if not _needs_sudo(kind):
        # the most real one may turn out to be too much for this machine
        fixed = None if kind == kinds.most_real() and not cluster.find() else kind
        return kinds.prepare(fixed, lambda line: click.echo(f"  {line}", err=True))[0]
    with display() as report:
        kinds.BACKENDS[kind].prepare(report)
    return kind


def _all_runs() -> bool:
    """Ask the status command, whose exit code is 0 only then."""
    command = [sys.executable, "-P", "-m", "k8s101.cli", "status"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _up(kind: str) -> None:
    settings = {name: value for name, value in os.environ.items() if name.startswith("K8S101_")}
    # sudo may forget the environment; root must find the cache that this user filled
    settings["K8S101_CACHE"] = str(cache_dir())
    command = [sys.executable, "-P", "-m", "k8s101.cli", "up", "--no-check"]
    command += ["--backend", kind] if kinds.BACKENDS[kind].TRAITS.ours else []
    if _needs_sudo(kind):
        click.echo("The cluster is started with sudo; JupyterLab and the notebooks run as you.", err=True)
        command = ["sudo", "env", *(f"{name}={value}" for name, value in settings.items()), *command]
    # its steps go to standard error; what it says at the end is said here
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | settings)
    try:
        code = child.wait()
    except KeyboardInterrupt:
        # it was interrupted too, cleans up and has its own words about it
        code = child.wait() or INTERRUPTED
    if code:
        sys.exit(code)


def _needs_sudo(kind: str) -> bool:
    """Tell whether this user needs root for such a cluster.

    Raises:
        Problem: there is no sudo to get it.
    """
    if not kinds.BACKENDS[kind].TRAITS.needs_root or os.getuid() == 0:
        return False
    if shutil.which("sudo"):
        return True
    raise Problem(
        "starting real nodes needs root, and there is no sudo", where=f"running as uid {os.getuid()}", then=_typed("up")
    )


def _typed(verb: str) -> str:
    """Return the command to type for this cluster, as root where that is needed."""
    line = f"{Path(sys.executable).with_name('k8s101')} {verb}"
    if os.getuid() == 0 or not kinds.BACKENDS[_kind()].TRAITS.needs_root:
        return line
    return f"sudo -E {line}" if shutil.which("sudo") else f"su -c '{line}'"


def copy_notebooks(tree: Tree, fresh: str | None) -> None:
    """Make the learner's copies and say what is worth knowing about them.

    Args:
        tree: the checkout.
        fresh: number of the module to begin anew.
    """
    from k8s101.notebook import learner

    for path, result in learner.make_copies(tree, fresh).items():
        if result in (learner.Result.UPDATED, learner.Result.OUTDATED, learner.Result.FRESH):
            click.echo(f"work/{path.name}: {result}")
        if result is learner.Result.OUTDATED:
            click.echo(f"  to begin it anew: k8s101 lab --fresh {path.name[:2]}")


def run_jupyter(tree: Tree, port: int, *, browser: bool, options: Sequence[str] = ()) -> None:
    """Run JupyterLab until it ends or somebody interrupts.

    Args:
        tree: the checkout.
        port: the TCP port on loopback; JupyterLab takes the next free one.
        browser: whether to open it in a browser.
        options: more options of JupyterLab.

    Raises:
        Problem: it ended by itself with an error.
    """
    teach_kernels()
    # a session of its own: Ctrl-C reaches this process only, which ends it without a question
    child = subprocess.Popen(
        jupyter_command(tree, port, browser=browser, options=options),
        cwd=tree.root,
        env=jupyter_environment(),
        start_new_session=True,
    )
    ends = {name: signal.signal(name, _interrupt) for name in (signal.SIGTERM, signal.SIGHUP)}
    try:
        if info := server.said(child):
            click.echo(server.address(info, landing(tree)))
        code = child.wait()
    except KeyboardInterrupt:
        _end(child)
        return
    finally:
        for name, handler in ends.items():
            signal.signal(name, handler)
    if code:
        raise Problem(f"JupyterLab ended with code {code}", where="its lines above", then="k8s101 lab")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def jupyter_command(tree: Tree, port: int, *, browser: bool, options: Sequence[str] = ()) -> list[str]:
    """Return the command that runs JupyterLab.

    Args:
        tree: the checkout.
        port: the TCP port to try first.
        browser: whether to open it in a browser.
        options: more options of JupyterLab.
    """
    return [
        *(sys.executable, "-m", "jupyterlab"),
        *("--log-level=ERROR", "--LabApp.log_level=ERROR"),
        # other users of this machine can reach loopback too
        "--KernelManager.transport_encryption=auto",
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", f"--ServerApp.open_browser={browser}"),
        # a learner may have set that a taken port ends it
        "--ServerApp.port_retries=50",
        f"--ServerApp.root_dir={tree.root}",
        f"--FileContentsManager.preferred_dir={tree.work if _copies(tree) else tree.root}",
        f"--LabApp.default_url={landing(tree)}",
        *(["--allow-root"] if os.getuid() == 0 else []),
        *options,
    ]


def landing(tree: Tree) -> str:
    """Return the path of the first notebook, in a workspace of its own: it leaves the learner's other tabs alone."""
    copies = _copies(tree)
    return "/lab/workspaces/k8s101" + (f"/tree/{copies[0].relative_to(tree.root)}" if copies else "")


def _copies(tree: Tree) -> list[Path]:
    return sorted(tree.work.glob("[0-9][0-9]-*.ipynb"))


def jupyter_environment() -> dict[str, str]:
    """Return JupyterLab's environment, which the notebooks' kernels inherit."""
    from k8s101.cluster.facade import place

    kept = {name: value for name, value in os.environ.items() if name not in (STABLE, files.WORK)}
    environment = utf8.for_children(kept)
    config = [str(JUPYTER_CONFIG), environment.get("JUPYTER_CONFIG_PATH", "")]
    return environment | {
        "K8S101_INTERACTIVE": "1",
        # one that we know, also where a password is set; Jupyter itself shows an address only for its own token
        "JUPYTER_TOKEN": environment.get("JUPYTER_TOKEN") or secrets.token_hex(24),
        "KUBECONFIG": str(place.state_dir() / "kubeconfig"),  # a learner's own cluster must never be reached
        "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, config)),
        "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel before one of the same name in the home directory
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
