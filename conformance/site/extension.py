"""What Sphinx is told of the site: pages that come as JSON, and cases as objects of a domain."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.domains import Domain, ObjType
from sphinx.parsers import Parser

from .pages import SUFFIX

_HEADING = re.compile(r'<h2 id="([^"]*)">(.*?)</h2>', re.DOTALL)


class PageParser(Parser):
    """Of :class:`~.pages.Page`."""

    supported = ("page",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        page, env = json.loads(inputstring), document.settings.env
        top = nodes.section(ids=["top"], names=["top"])
        top += nodes.title("", page["title"])
        document += top
        first, *rest = _HEADING.split(page["html"])
        top += nodes.raw("", first, format="html")
        for id, title, text in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
            below = nodes.section(ids=[id], names=[id])
            below += nodes.title("", html.unescape(re.sub("<[^>]+>", "", title)))
            below += nodes.raw("", text, format="html")
            top += below
        for caption, names in page["contents"]:
            top += _contents(env.docname, caption, names)
        env.metadata[env.docname]["page"] = {key: page[key] for key in ("found", "words", "listed")}


def _contents(name: str, caption: str, names: list[str]) -> nodes.Node:
    tree = addnodes.toctree()
    tree.update_basic_atts({})
    for key, value in {
        "parent": name,
        "entries": [(None, entry) for entry in names],
        "includefiles": names,
        "maxdepth": 1,
        "caption": caption or None,
        "rawcaption": caption,
        "glob": False,
        "hidden": True,
        "includehidden": False,
        "numbered": 0,
        "titlesonly": True,
    }.items():
        tree[key] = value
    wrapper = nodes.compound(classes=["toctree-wrapper"])
    wrapper += tree
    return wrapper


class Suite(Domain):
    """Cases, causes, loaders and formats by their names: the search finds them, and so does any intersphinx."""

    name = "suite"
    label = "conformance"
    object_types = {"case": ObjType("case")}  # noqa: RUF012

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        for name, metadata in sorted(self.env.metadata.items()):
            for found, place in sorted(metadata.get("page", {}).get("found", {}).items()):
                yield found, found, "case", name, place, 1

    def merge_domaindata(self, docnames: Any, otherdata: Any) -> None:
        """Nothing is kept here."""


def _settle(app: Any, env: Any) -> None:
    """Which pages the navigation leaves out, and which the search does; before either is checked."""
    for metadata in env.metadata.values():
        page = metadata.get("page", {"words": True, "listed": True})
        metadata.update({} if page["listed"] else {"orphan": True})
        metadata.update({} if page["words"] else {"nosearch": True})


def setup(app: Any) -> dict[str, Any]:
    app.add_source_suffix(SUFFIX, "page")
    app.add_source_parser(PageParser)
    app.add_domain(Suite)
    app.connect("env-updated", _settle)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
