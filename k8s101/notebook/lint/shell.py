"""Rules on `%%bash` cells: they can be pasted into a terminal, and they end."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import lru_cache

from k8s101.notebook.document import Cell
from k8s101.notebook.lint.commands import Command, commands, files
from k8s101.notebook.lint.module import Hit, Module, Rule

SHOWING = frozenset({"cat", "diff", "sed", "grep", "nl"})
APPLYING = frozenset({"apply", "create", "replace"})
EARLY = re.compile(r"-\w*[qm]\d*|--quiet|--max-count.*")
FOREVER = {"get": ("-w", "--watch", "--watch-only"), "logs": ("-f", "--follow")}
TERMINAL = re.compile(r"-(?:i?t|ti)|--tty|--stdin")
SYNTAX_SECONDS = 10


def _shell(module: Module) -> Iterator[tuple[Cell, list[Command]]]:
    for cell in module.code:
        if cell.is_shell:
            try:
                yield cell, commands(cell.body)
            except ValueError:
                continue  # bash_syntax reports it


def bash_syntax(module: Module) -> Iterator[Hit]:
    """bash understands the cell."""
    for cell in module.code:
        if cell.is_shell and (error := _syntax_error(cell.body)):
            yield cell, f"bash says: {error}", "correct the syntax"


@lru_cache(maxsize=512)
def _syntax_error(script: str) -> str | None:
    bash = shutil.which("bash")
    if bash is None:
        return None
    done = subprocess.run(
        [bash, "-n"], input=script, capture_output=True, text=True, timeout=SYNTAX_SECONDS, check=False
    )
    return (done.stderr.strip().splitlines() or ["syntax error"])[0] if done.returncode else None


def bash_options(module: Module) -> Iterator[Hit]:
    """Behind `%%bash` stands nothing, or `--needs` and capabilities."""
    for cell in module.code:
        head = cell.source.split("\n", 1)[0].removeprefix("%%bash").strip()
        if cell.is_shell and head and not cell.needs:
            yield cell, f"%%bash with the option {head}", "write %%bash --needs containers"


def waits_end(module: Module) -> Iterator[Hit]:
    """`rollout status` and `wait` have a `--timeout`."""
    for cell, found in _shell(module):
        for command in found:
            words = command.kubectl or []
            waits = words[:1] == ["wait"] or words[:2] == ["rollout", "status"]
            if waits and not command.has("--timeout"):
                yield cell, f"kubectl {' '.join(words[:2])} without --timeout", "add --timeout=60s"


def watches_end(module: Module) -> Iterator[Hit]:
    """What follows or watches stops after a while."""
    for cell, found in _shell(module):
        for command in found:
            words = command.kubectl or []
            endless = words and command.has(*FOREVER.get(words[0], ()))
            if endless and "timeout" not in command.words:
                yield cell, f"kubectl {words[0]} that never ends", "begin the command with: timeout 10"


def pipes_read_all(module: Module) -> Iterator[Hit]:
    """With pipefail, a reader that stops early fails the cell, and only sometimes."""
    for cell, found in _shell(module):
        for command in found:
            early = command.words[0] == "head" or (
                command.words[0] == "grep" and any(EARLY.fullmatch(word) for word in command.words[1:])
            )
            if command.piped and early:
                then = "use sed -n, awk or grep … > /dev/null, which read to the end"
                yield cell, f"{' '.join(command.words[:2])} in a pipe stops reading early", then


def no_terminal(module: Module) -> Iterator[Hit]:
    """Nothing wants a terminal that a notebook does not have."""
    for cell, found in _shell(module):
        for command in found:
            words = command.kubectl or []
            options = words[: words.index("--")] if "--" in words else words
            asks = words[:1] in (["exec"], ["attach"], ["run"], ["debug"])
            if words[:1] == ["edit"] or (asks and any(TERMINAL.fullmatch(word) for word in options)):
                yield cell, f"kubectl {words[0]} wants a terminal", "leave out -i and -t; change a file and apply it"


def shown_before_applied(module: Module) -> Iterator[Hit]:
    """Every manifest is shown before it is applied; what sets up an exercise may stay hidden."""
    shown: set[str] = set()
    for cell in module.code:
        if cell.written_file:
            shown.add(cell.written_file)
        for command in _commands(cell):
            if command.words[0] in SHOWING and not command.writes and not command.has("-i"):
                shown |= {word.removeprefix("./") for word in command.words[1:]}
            words = command.kubectl or [""]
            for name in files(command) if words[0] in APPLYING else ():
                seen = any(fnmatch(name.removeprefix("./"), pattern) for pattern in shown)
                if name.endswith((".yaml", ".yml")) and not seen and cell.role != "exercise":
                    yield cell, f"{name} is applied and was not shown", f"cat {name} before, or %%writefile {name}"


def _commands(cell: Cell) -> list[Command]:
    try:
        return commands(cell.body) if cell.is_shell else []
    except ValueError:
        return []


def files_exist(module: Module) -> Iterator[Hit]:
    """Files that a shell cell reads are among the lesson's files, or were written before."""
    folder = module.tree.manifests / module.path.stem.lstrip("_")
    written: set[str] = set()
    for cell in module.code:
        if cell.written_file:
            written.add(cell.written_file)
        for command in _commands(cell):
            read = [*files(command), *(command.words[1:] if command.words[0] == "cat" else ())]
            for name in read:
                plain = re.fullmatch(r"[\w./-]+\.ya?ml", name) and "://" not in name
                if plain and name not in written and not (folder / name).exists():
                    yield cell, f"there is no {name}", f"put it into manifests/{folder.name}/"
            written |= set(command.writes)


RULES: tuple[Rule, ...] = (
    bash_syntax,
    bash_options,
    waits_end,
    watches_end,
    pipes_read_all,
    no_terminal,
    shown_before_applied,
    files_exist,
)
