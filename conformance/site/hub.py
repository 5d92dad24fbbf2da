"""The table of a survey as pages: what the repos of a list hold, and who would misread them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..survey.listing import SurveyError
from ..survey.table import library
from .names import SiteError, clean
from .pages import Page, render

_A_PAGE = 1000
_COLUMNS = ["repo", "family", "outcome", "code", "packings", "bits", "misread_in_silence_by"]
_OUTCOMES = ("read", "refused", "error")


def pages(table: Path) -> Iterator[Page]:
    """A page that sums up, and one for each thousand rows. SiteError where the file is no such table."""
    about, rows = _read(table)
    by_family: dict[str, Counter[str]] = {}
    misread: Counter[str] = Counter()
    for row in rows:
        by_family.setdefault(row["family"] or "not known", Counter())[row["outcome"]] += 1
        misread.update(row["misread"])
    parts = [
        (f"survey/{start // _A_PAGE + 1}", start + 1, min(start + _A_PAGE, len(rows)))
        for start in range(0, len(rows), _A_PAGE)
    ]
    body = render(
        "survey/index",
        "survey.html",
        summary=True,
        trail=[],
        total=len(rows),
        about=about,
        outcomes=_OUTCOMES,
        families=sorted(by_family.items(), key=lambda pair: (-pair[1].total(), pair[0])),
        misread=misread.most_common(),
        pages=parts,
    )
    yield Page("survey/index", "The Hub, surveyed", body)
    for name, first, last in parts:
        shown = [row | {"misread": ", ".join(row["misread"])} for row in rows[first - 1 : last]]
        body = render(name, "survey.html", summary=False, trail=[("The Hub, surveyed", "survey/index")], rows=shown)
        yield Page(name, f"Repos {first} to {last}", body, listed=False)


def _read(table: Path) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    try:
        pyarrow, parquet = library()
    except SurveyError as error:
        raise SiteError(str(error)) from error
    try:
        found = parquet.read_table(table, columns=_COLUMNS)
    except (OSError, pyarrow.ArrowException) as error:
        raise SiteError(f"{table} is no table of a survey: {error}") from error
    prefix = b"mlx-quant."
    metadata = found.schema.metadata or {}
    about = [
        (clean(key[len(prefix) :].decode("utf-8", "replace")), clean(value.decode("utf-8", "replace")))
        for key, value in sorted(metadata.items())
        if key.startswith(prefix)
    ]
    return about, [_row(row) for row in found.to_pylist()]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    texts = {name: clean(row[name] or "") for name in ("repo", "family", "outcome", "code")}
    lists = {name: clean(", ".join(str(value) for value in row[name] or ())) for name in ("packings", "bits")}
    return texts | lists | {"misread": [clean(str(loader)) for loader in row["misread_in_silence_by"] or ()]}
