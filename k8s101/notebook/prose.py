"""What a Markdown cell holds: headings, links, pictures and words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from markdown_it import MarkdownIt
from markdown_it.token import Token

WORD = re.compile(r"[^\W_]+(?:['’.:/-][^\W_]+)*")


@dataclass
class Prose:
    """The parts of one Markdown text that rules look at.

    Args:
        headings: level and text of each heading.
        links: targets of links.
        images: source and alternative text (None if absent) of each picture.
        items: number of list items.
        tables: number of tables.
        blocks: the text of each code block.
        text: what a reader reads, without code blocks.
        sentences: the same without code between backticks, paragraph by paragraph.
    """

    headings: list[tuple[int, str]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    images: list[tuple[str, str | None]] = field(default_factory=list)
    items: int = 0
    tables: int = 0
    blocks: list[str] = field(default_factory=list)
    text: str = ""
    sentences: str = ""

    @property
    def words(self) -> int:
        """The number of words."""
        return len(WORD.findall(self.text))


class _Html(HTMLParser):
    """Collects links, pictures and text of an HTML fragment."""

    def __init__(self, prose: Prose) -> None:
        super().__init__()
        self.prose = prose

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            self.prose.images.append((values.get("src") or "", values.get("alt")))
        elif tag == "a" and values.get("href"):
            self.prose.links.append(values["href"] or "")

    def handle_data(self, data: str) -> None:
        self.prose.text += f" {data}"


def parse_html(html: str) -> Prose:
    """Return links, pictures and text of HTML.

    Args:
        html: a fragment or a page.
    """
    prose = Prose()
    parser = _Html(prose)
    parser.feed(html)
    parser.close()
    return prose


def parse(markdown: str) -> Prose:
    """Return what a Markdown text holds.

    Args:
        markdown: the source of a cell.
    """
    prose = Prose()
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            prose.headings.append((int(token.tag[1]), tokens[position + 1].content))
        elif token.type == "list_item_open":
            prose.items += 1
        elif token.type == "table_open":
            prose.tables += 1
        elif token.type in ("fence", "code_block"):
            prose.blocks.append(token.content)
        elif token.type == "html_block":
            _take(prose, parse_html(token.content))
        elif token.type == "inline":
            _inline(prose, token.children or [])
    return prose


def _inline(prose: Prose, children: list[Token]) -> None:
    for child in children:
        if child.type in ("text", "code_inline"):
            prose.text += child.content
            prose.sentences += child.content if child.type == "text" else " … "
        elif child.type == "image":
            prose.images.append((str(child.attrGet("src") or ""), child.content))
        elif child.type == "link_open":
            prose.links.append(str(child.attrGet("href") or ""))
        elif child.type == "html_inline":
            _take(prose, parse_html(child.content))
        elif child.type in ("softbreak", "hardbreak"):
            prose.text += " "
            prose.sentences += " "
    prose.text += " "
    prose.sentences += "\n"


def _take(prose: Prose, other: Prose) -> None:
    prose.links += other.links
    prose.images += other.images
    prose.text += other.text
    prose.sentences += other.text
