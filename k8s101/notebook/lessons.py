"""The list of modules, lessons.yml, and what is generated from it: title bars and README's table."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from k8s101.errors import Problem

BINDER = "https://mybinder.org/v2/gh/{repository}/HEAD?urlpath=lab/tree/work/{file}"
REPOSITORY = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Lesson:
    """One module.

    Args:
        number: two digits.
        slug: the rest of the file name.
        title: the notebook's heading; begins with a verb.
        name: two or three words for links and tables.
        summary: one line, what the learner can do afterwards.
        minutes: time to teach.
        needs: capabilities without which the module only shows recorded outputs.
        ci_guest: whether `make test` runs it on the guest backend.
        alone: whether it changes something outside its own namespaces, so that no other runs beside it.
        programs: what it calls besides kubectl, made when it is called for the first time.
        planned: whether it is still to be written.
    """

    number: str
    slug: str
    title: str
    name: str
    summary: str
    minutes: int
    needs: tuple[str, ...] = ()
    ci_guest: bool = False
    alone: bool = False
    programs: tuple[str, ...] = ()
    planned: bool = False

    @property
    def file(self) -> str:
        """The notebook's file name."""
        return f"{self.number}-{self.slug}.ipynb"


@dataclass(frozen=True)
class Lessons:
    """All modules in order.

    Args:
        repository: `owner/name` of the public repository, or empty.
        modules: the modules.
    """

    repository: str
    modules: tuple[Lesson, ...]

    @property
    def landed(self) -> tuple[Lesson, ...]:
        """The modules that are written."""
        return tuple(lesson for lesson in self.modules if not lesson.planned)

    def find(self, number: str) -> Lesson | None:
        """Return the module with this number, if it is listed."""
        return next((lesson for lesson in self.modules if lesson.number == number), None)

    def neighbours(self, lesson: Lesson) -> tuple[Lesson | None, Lesson | None]:
        """Return the written modules before and after one."""
        before = [other for other in self.landed if other.number < lesson.number]
        after = [other for other in self.landed if other.number > lesson.number]
        return (before[-1] if before else None), (after[0] if after else None)


def load(path: Path) -> Lessons:
    """Read lessons.yml.

    Args:
        path: the file.

    Raises:
        Problem: a key is missing, unknown or of the wrong kind.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        modules = tuple(_lesson(entry) for entry in data["modules"])
        repository = str(data.get("repository") or "")
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise Problem(
            f"the list of modules cannot be read: {error}",
            where=str(path),
            then="compare it with the comment at its top",
        ) from None
    if repository and not REPOSITORY.fullmatch(repository):
        raise Problem(f"repository is {repository!r}", where=str(path), then='write "owner/name" or leave it empty')
    numbers = [lesson.number for lesson in modules]
    if numbers != sorted(set(numbers)):
        raise Problem("module numbers are not in order or not unique", where=str(path), then="sort the modules")
    return Lessons(repository, modules)


def _lesson(entry: dict[str, Any]) -> Lesson:
    lesson = Lesson(**entry | {key: tuple(entry.get(key, ())) for key in ("needs", "programs")})
    for field in fields(Lesson):
        value = getattr(lesson, field.name)
        wanted = {"int": int, "bool": bool, "str": str}.get(str(field.type), tuple)
        if type(value) is not wanted:
            raise ValueError(f"{field.name} of module {lesson.number} is {value!r}")
    if not re.fullmatch(r"\d\d", lesson.number) or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", lesson.slug):
        raise ValueError(f"{lesson.number}-{lesson.slug} is not of the form NN-slug")
    return lesson


def title_bar(lesson: Lesson, lessons: Lessons) -> str:
    """Return the Markdown of a module's first cell.

    Args:
        lesson: the module.
        lessons: all modules, for the links.
    """
    needs = ", ".join(capability_words(name) for name in lesson.needs)
    facts = [f"Module {lesson.number}", f"{lesson.minutes} minutes", f"needs {needs or 'any cluster'}"]
    before, after = lessons.neighbours(lesson)
    links = []
    if before:
        links.append(f"← [{before.number} {before.name}]({before.file})")
    if after:
        links.append(f"[{after.number} {after.name}]({after.file}) →")
    if lessons.repository:
        links.append(f"[open in Binder]({binder_link(lesson, lessons)})")
    paragraphs = [f"# {lesson.title}", " · ".join(facts)]
    return "\n\n".join(paragraphs + ([" · ".join(links)] if links else []))


def binder_link(lesson: Lesson, lessons: Lessons) -> str:
    """Return the address at which Binder opens the learner's copy of a module.

    Args:
        lesson: the module.
        lessons: all modules, with the public repository.
    """
    return BINDER.format(repository=lessons.repository, file=lesson.file)


def capability_words(name: str) -> str:
    """Return a capability's name as people say it: `network_policy` is "network policy"."""
    return name.replace("_", " ")


def table(lessons: Lessons) -> str:
    """Return README's table of modules in Markdown.

    Args:
        lessons: all modules.
    """
    rows = ["| module | afterwards you can | minutes | needs |", "|---|---|---|---|"]
    for lesson in lessons.modules:
        label = f"{lesson.number} {lesson.name}"
        link = f"{label} (planned)" if lesson.planned else f"[{label}](notebooks/{lesson.file})"
        needs = ", ".join(capability_words(name) for name in lesson.needs) or "any cluster"
        rows.append(f"| {link} | {lesson.summary} | {lesson.minutes} | {needs} |")
    return "\n".join(rows) + "\n"
