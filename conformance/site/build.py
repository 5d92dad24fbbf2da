"""The site: pages of our own and the documentation, made into HTML by Sphinx, beside the files to download."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..export import export
from . import archives, cases, documents, formats, hub, loaders
from .facts import gather
from .names import SiteError
from .pages import Page

INSTALL = "pip install 'mlx-quant[site]'"
_OWN = Path(__file__).with_name("templates")
_CONFIG: dict[str, Any] = {
    "project": "mlx-quant conformance",
    "extensions": ["myst_parser", f"{__package__}.extension"],
    "html_theme": "furo",
    "html_title": "mlx-quant conformance",
    "html_static_path": ["_static"],
    "html_css_files": ["site.css"],
    "html_favicon": "_static/icon.svg",
    "html_copy_source": False,
    "html_show_copyright": False,
    "html_use_index": False,
    "html_domain_indices": False,
    "html_permalinks_icon": "#",
    "myst_heading_anchors": 6,
    "myst_all_links_external": False,
    "language": "en",
    # By day and by night; code must be legible on either ground.
    "pygments_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# Wide things scroll, landmarks have names, and a heading has a level.
_MENDED = (
    (re.compile(r'<div class="table-wrapper[^"]*"(?! tabindex)'), r'\g<0> tabindex="0"'),
    (re.compile(r"<pre(?=>)"), r'\g<0> tabindex="0"'),
    (re.compile(r'<aside class="sidebar-drawer"'), r'\g<0> aria-label="All pages"'),
    (re.compile(r'<aside class="toc-drawer( no-toc)?"'), r'\g<0> aria-label="On this page"'),
    (re.compile(r'<p class="caption" role="heading"'), r'\g<0> aria-level="2"'),
)


@dataclass(frozen=True)
class Built:
    """What was written."""

    pages: int
    permalinks: int
    files: int
    bytes: int


def build(
    out: Path,
    reports: Path,
    *,
    root: Path | None = None,
    survey: Path | None = None,
    vectors: Path | None = None,
    exports: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Built:
    """Write the site into ``out``, which appears whole or not at all.

    Args:
        reports: a folder of reports, of which every loader has one.
        root: the checkout whose documentation and reproductions belong to it; None leaves them out.
        survey: the table of a survey.
        vectors: what ``export`` wrote; without, it is written now, unless ``exports`` is false.

    SiteError where something is missing or Sphinx complains.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SiteError(f"{out} is there already")
    _needs_sphinx()
    facts = gather(reports, root)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        source, made = Path(scratch) / "source", Path(scratch) / "made"
        source.mkdir()
        found: dict[str, archives.Archive] = {}
        if vectors is None and exports:
            say("vectors")
            vectors = Path(scratch) / "vectors"
            export(vectors)
        if vectors is not None:
            found = archives.write(vectors, made / "files/vectors")
        say("pages")
        own = [*loaders.pages(facts), *cases.pages(facts), *formats.pages(facts, found)]
        own += hub.pages(survey) if survey else ()
        docs = documents.copy(root, source) if root else []
        own.append(loaders.first(facts, _contents(own, docs)))
        for page in own:
            page.write(source)
        say("HTML")
        _sphinx(source, made, Path(scratch) / "doctrees")
        _mend(made)
        _files(made, root, survey)
        count = cases.permalinks(facts, made)
        files = [file for file in made.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
        if out.exists():
            out.rmdir()
        made.rename(out)
    return Built(len(own) + len(docs), count, len(files), size)


def _contents(own: Iterable[Page], docs: list[str]) -> list[tuple[str, list[str]]]:
    listed = [page.name for page in own if page.listed]
    indexes: list[str] = [name for name in ("causes/index", "cases/index", "survey/index") if name in listed]
    parts: list[tuple[str, list[str]]] = [("Results", indexes)]
    for caption, folder in (("Loaders", "loaders/"), ("Formats", "formats/")):
        parts.append((caption, [name for name in listed if name.startswith(folder)]))
    return [*parts, ("Documentation", docs)] if docs else parts


def _needs_sphinx() -> None:
    try:
        import furo
        import myst_parser
        import sphinx
    except ImportError as error:
        raise SiteError(f"the site needs Sphinx, MyST and Furo: {INSTALL} ({error})") from error
    del furo, myst_parser, sphinx


def _sphinx(source: Path, out: Path, doctrees: Path) -> None:
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError

    (source / "_static").mkdir()
    for name in ("site.css", "icon.svg"):
        shutil.copyfile(_OWN / name, source / "_static" / name)
    # A theme's own settings are known in a file of settings, and not as overrides.
    settings = "".join(f"{name} = {value!r}\n" for name, value in _CONFIG.items())
    (source / "conf.py").write_text(settings, encoding="utf-8")
    said = io.StringIO()
    try:
        app = Sphinx(
            srcdir=source,
            confdir=source,
            outdir=out,
            doctreedir=doctrees,
            buildername="html",
            status=None,
            warning=said,
            freshenv=True,
        )
        app.build(force_all=True)
    except SphinxError as error:
        raise SiteError(f"Sphinx: {error}") from error
    if warnings := said.getvalue().strip():
        raise SiteError(f"Sphinx: {warnings.replace(str(source), '')}")


def _mend(out: Path) -> None:
    """What a reader with a keyboard or a screen reader misses in the theme's pages."""
    for file in out.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        for wanted, instead in _MENDED:
            text = wanted.sub(instead, text)
        if file.name == "search.html":
            text = text.replace('<div id="search-results">', '<h1>Search</h1>\n<div id="search-results">')
        file.write_text(text, encoding="utf-8")


def _files(out: Path, root: Path | None, survey: Path | None) -> None:
    # Sphinx's notes to itself name the folders of this machine.
    (out / ".buildinfo").unlink(missing_ok=True)
    # GitHub would leave out folders that begin with an underscore.
    (out / ".nojekyll").touch()
    if survey:
        (out / "files").mkdir(exist_ok=True)
        shutil.copyfile(survey, out / "files/survey.parquet")
    if root:
        scripts = out / "files/reproductions"
        scripts.mkdir(parents=True)
        for file in sorted((root / "examples/reproductions").glob("*.py")):
            shutil.copyfile(file, scripts / file.name)
