"""What ``mlx-quant-conformance site`` does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from .base import stop, usage
from .survey import RESULTS


def site(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that is empty, or not there.")],
    reports: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Reports of loaders; without, those of the checkout.")
    ] = None,
    survey: Annotated[Path | None, typer.Option(metavar="FILE", help="The Parquet table of a survey.")] = None,
    vectors: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What `export` wrote; without, it is written anew.")
    ] = None,
    no_vectors: Annotated[bool, typer.Option("--no-vectors", help="Without vectors to download.")] = False,
    no_docs: Annotated[bool, typer.Option("--no-docs", help="Without the documentation and reproductions.")] = False,
) -> None:
    """Build the site of plain files: loaders, causes, formats, cases, and in a checkout the documentation."""
    # Its pages and pictures take a while to import, which each of the other commands would wait for.
    from ..site import SiteError, build

    if reports is None and not RESULTS.is_dir():
        stop("no reports of loaders here (--reports)")
    root = RESULTS.parents[1] if RESULTS.is_dir() and not no_docs else None
    started = time.monotonic()
    with usage(SiteError, OSError):
        built = build(
            out,
            reports or RESULTS,
            root=root,
            survey=survey,
            vectors=vectors,
            exports=not no_vectors,
            say=lambda step: typer.echo(f"{step} ...", err=True),
        )
    typer.echo(
        f"{out}: {built.pages} pages, {built.permalinks} permalinks of cases, {built.files} files, "
        f"{built.bytes / 1e6:.1f} MB, {time.monotonic() - started:.0f} s"
    )
