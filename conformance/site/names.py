"""Names of files and anchors out of texts by strangers: whatever a report says, nothing leaves the site's folder."""

from __future__ import annotations

import posixpath
import re
from hashlib import sha256
from urllib.parse import quote

_LONGEST = 80


class SiteError(Exception):
    """The site cannot be built."""


def file_name(text: str) -> str:
    """One part of a path; a text that cannot be one as it is gets a digest at its end, so that two stay two."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip(".-")[:_LONGEST]
    return safe if safe == text != "" else f"{safe}-{sha256(text.encode()).hexdigest()[:8]}".lstrip("-")


def case_path(id: str) -> str:
    """Where the permalink of a case is: ``case/`` and its id."""
    return "/".join(["case", *map(file_name, id.split("/"))])


def anchor(id: str) -> str:
    """An anchor that is the id itself wherever it holds nothing but what needs no escape in an address."""
    return re.sub(r"[^A-Za-z0-9_./=+-]", lambda found: f"~{ord(found.group()):x}~", id)


def slug(title: str) -> str:
    return file_name(re.sub("[^a-z0-9]+", "-", title.lower()).strip("-"))


def link(source: str, target: str, fragment: str = "") -> str:
    """The address of one page, or file, as another page gives it; both by their paths in the site."""
    path = posixpath.relpath(target, posixpath.dirname(source) or ".")
    return quote(path, safe="/~") + (f"#{fragment}" if fragment else "")


def clean(text: str) -> str:
    """What a page can hold: no half characters, and no control characters but the ends of lines."""
    whole = text.encode("utf-8", "backslashreplace").decode()
    return whole if whole.isprintable() else re.sub("[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]", "\ufffd", whole)
