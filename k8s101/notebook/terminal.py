"""`k8s101 shell`: a terminal in which kubectl works as in the cells of a lesson."""

from __future__ import annotations

import os

import click

from k8s101.cluster.facade import cluster
from k8s101.cluster.values.settings import ROOT, Settings
from k8s101.errors import Problem
from k8s101.lesson.api import environment
from k8s101.lesson.cells import files
from k8s101.notebook.document import Tree

RC = ROOT / "k8s101/lesson/shell/bashrc"


def run(number: str | None, command: str | None) -> None:
    """Become a shell; nothing returns.

    Args:
        number: module whose folder and namespace to use, opened if need be; None for those of the place and time.
        command: what to run instead of a prompt.

    Raises:
        Problem: there is no cluster, or no such module.
    """
    found = cluster.find()
    if found is None:
        problem = Problem("no cluster is running", where="this machine", then="k8s101 up, then k8s101 shell")
        if number or command is not None:
            raise problem
        # JupyterLab's terminal, perhaps while the cluster starts: leave the person where the next step can be typed
        click.echo(f"note: {problem}", err=True)
        os.execvp("bash", ["bash"])
    slug = Tree().paths([number])[0].stem[3:] if number else _last(found.settings)
    if number and slug:
        from k8s101.lesson.cells import connect

        os.chdir(connect.join(slug))
    variables = surroundings(found.settings, slug)
    if command is not None:
        os.execvpe("bash", ["bash", "-c", command], variables)
    click.echo(f"kubectl speaks to the workshop's cluster{f', lesson {slug}' if slug else ''}; exit leaves", err=True)
    os.execvpe("bash", ["bash", "--rcfile", str(RC), "-i"], variables)


def surroundings(settings: Settings, slug: str | None) -> dict[str, str]:
    """Return the variables of a terminal.

    Args:
        settings: which cluster.
        slug: the lesson it begins with, if any.
    """
    variables = environment.variables(settings, slug)
    folders = os.environ.get(files.WORK) or str(ROOT / "work")
    return variables | {
        "_K8S101_WORKSHOP": str(settings.kubeconfig),
        "_K8S101_LESSONS": str(settings.lessons),
        "_K8S101_FOLDERS": folders,
        "_K8S101_PATH": os.pathsep.join(variables["PATH"].split(os.pathsep)[:2]),
    }


def _last(settings: Settings) -> str | None:
    link = settings.lessons / environment.LAST
    return link.readlink().stem if link.is_symlink() and link.exists() else None
