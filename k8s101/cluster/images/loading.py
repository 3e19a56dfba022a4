"""Loading the workshop's images into clusters that other tools made, with those tools' own commands."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from k8s101.cluster.images.building import ensure_images
from k8s101.cluster.values.progress import display
from k8s101.errors import Problem


@dataclass(frozen=True)
class Command:
    """How a tool loads an archive of images.

    Args:
        arguments: behind the tool's name; `{archive}` and `{name}` are filled in.
        usual: the name of its cluster where none was given.
        home: where the tool is described.
    """

    arguments: tuple[str, ...]
    usual: str
    home: str


COMMANDS = {
    "kind": Command(("load", "image-archive", "{archive}", "--name", "{name}"), "kind", "https://kind.sigs.k8s.io"),
    "k3d": Command(("image", "import", "{archive}", "--cluster", "{name}"), "k3s-default", "https://k3d.io"),
    "minikube": Command(
        ("image", "load", "{archive}", "--profile", "{name}"), "minikube", "https://minikube.sigs.k8s.io"
    ),
}


def load(tool: str, name: str | None) -> None:
    """Make the archive of the images if need be and hand it to a tool, whose output is shown.

    Args:
        tool: one of COMMANDS.
        name: the cluster's name for the tool; the tool's usual one if left out.

    Raises:
        Problem: the tool is missing or failed.
    """
    command = COMMANDS[tool]
    program = shutil.which(tool)
    if program is None:
        raise Problem(
            f"{tool} is not installed", where="PATH", then=f"install it ({command.home}), then run this again"
        )
    with display() as report:
        archive = ensure_images(report)
    words = [program, *(word.format(archive=archive, name=name or command.usual) for word in command.arguments)]
    status = subprocess.run(words).returncode
    if status:
        raise Problem(f"{tool} ended with exit code {status}", where=" ".join(words), then=f"{tool} --help")
