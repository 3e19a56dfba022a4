"""Rules on Markdown: headings, pictures, links."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from k8s101.notebook.lint.module import Hit, Module, Rule


def one_h1(module: Module) -> Iterator[Hit]:
    """One heading of level 1, the title."""
    found = [cell for cell, prose in module.prose for level, _ in prose.headings if level == 1]
    for cell in found[1:]:
        yield cell, "a second level-1 heading", "use level 2"


def heading_levels(module: Module) -> Iterator[Hit]:
    """Screen readers jump by level: none is skipped on the way down."""
    before = 0
    for cell, prose in module.prose:
        for level, text in prose.headings:
            if level > before + 1:
                yield cell, f"heading “{text}” of level {level} after level {before}", f"use level {before + 1}"
            before = level


def alt_text(module: Module) -> Iterator[Hit]:
    """Each picture says in words what it shows."""
    for cell, prose in module.prose:
        for source, alternative in prose.images:
            if not (alternative or "").strip():
                yield cell, f"picture {source[:60]} without a text", "write what it shows between the brackets"


def links_exist(module: Module) -> Iterator[Hit]:
    """Relative links, and pictures, lead to files; links inside the page lead to headings."""
    headings = {text.replace(" ", "-") for _, prose in module.prose for _, text in prose.headings}
    for cell, prose in module.prose:
        for target in [*prose.links, *(source for source, _ in prose.images)]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            if not parts.path:
                if unquote(parts.fragment) not in headings:
                    yield cell, f"link to {target}, which is no heading here", "copy the heading's text"
            elif not (module.tree.notebooks / unquote(parts.path)).exists():
                yield cell, f"link to {target}, which does not exist", "write it relative to notebooks/"


def links_secure(module: Module) -> Iterator[Hit]:
    """Links to other sites are encrypted."""
    for cell, prose in module.prose:
        for target in prose.links:
            if target.startswith("http://") and urlsplit(target).hostname not in ("localhost", "127.0.0.1"):
                yield cell, f"link to {target} without encryption", "use https"


RULES: tuple[Rule, ...] = (one_h1, heading_levels, alt_text, links_exist, links_secure)
