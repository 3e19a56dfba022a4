"""What a `%%bash` cell runs: its text taken apart into simple commands, as far as rules need it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

OPERATORS = "();<>|&\n"
COMMENT = re.compile(r"(^|\s)#[^'\"\n]*$|^\s*#.*$", re.MULTILINE)
HERE_DOCUMENT = re.compile(r"<<-?\s*(['\"]?)(\w+)\1(.*?)\n(.*?)\n\s*\2[ \t]*$", re.DOTALL | re.MULTILINE)


@dataclass
class Command:
    """One simple command.

    Args:
        words: the command and its arguments, without quotes.
        piped: whether it reads what the command before it prints.
        writes: files that it writes by redirection.
    """

    words: list[str] = field(default_factory=list)
    piped: bool = False
    writes: list[str] = field(default_factory=list)

    @property
    def kubectl(self) -> list[str] | None:
        """What stands behind kubectl, None if this is another command."""
        at = next((index for index, word in enumerate(self.words) if word == "kubectl"), None)
        return None if at is None else self.words[at + 1 :]

    def has(self, *options: str) -> bool:
        """Tell whether one of these options is given, with or without a value behind `=`."""
        return any(word.split("=", 1)[0] in options for word in self.words)


def commands(script: str) -> list[Command]:
    """Return the commands of a script in order; those inside a quoted `"$(…)"` are not looked at.

    Args:
        script: the cell without its first line.

    Raises:
        ValueError: a quote is not closed.
    """
    text = COMMENT.sub(r"\1", HERE_DOCUMENT.sub(r"\3", script)).replace("\\\n", " ")
    lexer = shlex.shlex(text, posix=True, punctuation_chars=OPERATORS)
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t\r", "", True
    found = [Command()]
    redirected = False
    for token in lexer:
        if set(token) <= set(OPERATORS):
            redirected = token.startswith(">")
            if not redirected and not token.startswith("<"):
                found.append(Command(piped=token in ("|", "|&", "|\n")))
        elif redirected:
            found[-1].writes.append(token)
            redirected = False
        else:
            found[-1].words.append(token)
    return [command for command in found if command.words]


def files(command: Command) -> list[str]:
    """Return the files that a kubectl command reads with `-f`."""
    found: list[str] = []
    words = command.kubectl or []
    for index, word in enumerate(words):
        name, _, value = word.partition("=")
        if name in ("-f", "--filename"):
            value = value or (words[index + 1] if index + 1 < len(words) else "")
            found += value.split(",")
        elif word.startswith("-f") and not word.startswith("--") and len(word) > 2:
            found += word[2:].split(",")
    return [name for name in found if name not in ("", "-")]
