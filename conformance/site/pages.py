"""Pages of the site as they go to Sphinx: a title, HTML, and what the search should find in it by name."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from .names import anchor, case_path, link

SUFFIX = ".page"


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        name: its path in the site, without the suffix.
        title: plain text.
        html: of the page below its title; every ``<h2 id>`` in it begins a section.
        found: names that the search finds, each with its anchor.
        words: whether the search looks into the text as well.
        contents: captions and the pages beneath each, for the navigation.
        listed: whether the navigation names it.
    """

    name: str
    title: str
    html: str
    found: dict[str, str] = field(default_factory=dict)
    words: bool = True
    contents: list[tuple[str, list[str]]] = field(default_factory=list)
    listed: bool = True

    def write(self, folder: Path) -> None:
        file = folder / f"{self.name}{SUFFIX}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")


@cache
def _templates() -> Environment:
    """Every text in them is escaped."""
    found = Environment(
        loader=PackageLoader(__package__, "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    found.globals.update(anchor=anchor, case_path=case_path, number="{:,}".format)
    found.filters["prose"] = prose
    return found


def render(page: str, template: str, **values: Any) -> str:
    """The HTML of the page of that name; links in it are relative to it."""
    return _templates().get_template(template).render(to=_links(page), **values)


def _links(page: str) -> Callable[..., str]:
    def to(target: str, fragment: str = "", suffix: str = ".html") -> str:
        return link(page, f"{target}{suffix}", fragment)

    return to


def prose(text: str) -> Markup:
    """A docstring as paragraphs, its literals as code."""
    paragraphs = [
        re.sub(r"``([^`]+)``|`([^`]+)`", lambda m: f"<code>{m[1] or m[2]}</code>", html.escape(" ".join(part.split())))
        for part in re.split(r"\n\s*\n", text.strip())
    ]
    return Markup("".join(f"<p>{part}</p>\n" for part in paragraphs))
