"""The site: everything in the reports is reachable, nothing in them is believed, and two builds are one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from conformance.cli import main
from conformance.formats.registry import BY_SLUG, FORMATS
from conformance.reports import families
from conformance.run.record import Record, Report
from conformance.site import SiteError, archives, build, documents, pictures
from conformance.site.facts import Facts, gather
from conformance.site.names import anchor, case_path, clean, file_name, link

ROOT = Path(__file__).parents[2]
HOSTILE = (
    "</td></table><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }} ``` & \"' \x1b[31m \ud800 ../../x"
)
NAME = re.compile(r"[A-Za-z0-9._-]+")


def record(id: str, verdict: str = "pass", *flags: str, why: str = "", **more: object) -> Record:
    return Record(id, id.partition("/")[0], "dense", sorted(flags), verdict, why, **more)  # type: ignore[arg-type]


def report(name: str, *cases: Record, **header: object) -> Report:
    base = {
        "suite": "2026.1",
        "subject": name,
        "called": f"py:{name}:SUBJECT",
        "info": {"version": "1.2", "formats": ["gptq"]},
        "claims": ["dense"],
        "oracle": {"name": "reference", "version": "1"},
        "platform": "Linux",
        "started": "2026-01-01T00:00:00+00:00",
        "partial": False,
    }
    return Report(base | header, list(cases))


# What a record of the first kind that a format names for a short table has.
PLAIN = {slug: (slug, *next(iter(format.BRIEF.values()))[0]) for slug, format in BY_SLUG.items()}
FIRST = {slug: next(iter(format.BRIEF)) for slug, format in BY_SLUG.items()}
SOUND = [record(f"synthetic/{slug}-plain", "pass", *flags) for slug, flags in PLAIN.items()]
REPORTS = {
    "sound": report("sound", *SOUND),
    "faulty": report(
        "faulty.so",
        record(
            "synthetic/gptq-plain", "fail", *PLAIN["gptq"], why="3 of 9 weights differ", weights=9, wrong=3, steps=1.0
        ),
        record("synthetic/awq-plain", "refused", *PLAIN["awq"], why="refused: Nope('awq')", manner="refused"),
        record("synthetic/fp8-plain", "error", *PLAIN["fp8"], why="crashed: KeyError('scale')", manner="crashed"),
    ),
    "hostile": report(
        HOSTILE,
        record(f"synthetic/{HOSTILE}", "fail", "gptq", HOSTILE, why=HOSTILE, note=HOSTILE),
        record(f"{HOSTILE}/{HOSTILE}", "fail", HOSTILE, why=f"9 weights differ {HOSTILE}"),
        record(f"{HOSTILE}/b", "fail", HOSTILE, why=f"9 weights differ {HOSTILE}"),
        record("synthetic/awq-plain", "refused", "awq", why=HOSTILE),
        called=HOSTILE,
        platform=HOSTILE,
        info={"version": HOSTILE, "formats": [HOSTILE]},
        partial=True,
    ),
}


class Anatomy(HTMLParser):
    """Ids, links, tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.scripts: list[str] = []
        self.text = ""
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for key, value in attrs if key == "id" and value]
        self.links += [value for key, value in attrs if key in ("href", "src") and value]
        self.handlers += [key for key, _ in attrs if key.startswith("on")]
        self._script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts.append(data)
        else:
            self.text += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("reports")
    for name, own in REPORTS.items():
        own.write(found / f"{name}.jsonl")
    return found


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from conformance.survey import table

    file = tmp_path_factory.mktemp("survey") / "survey.parquet"
    rows = [
        {"repo": "a/read", "outcome": "read", "family": "gptq", "bits": [4], "packings": ["gptq"]},
        {"repo": HOSTILE, "outcome": "refused", "family": HOSTILE, "code": "not-quantized"},
    ]
    table.write(file, rows, None, {"suite": "2026.1"})
    return file


@pytest.fixture(scope="module")
def site(folder: Path, survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By the command, as people build it."""
    out = tmp_path_factory.mktemp("built") / "site"
    command = ["site", str(out), "--reports", str(folder), "--survey", str(survey), "--no-vectors", "--no-docs"]
    assert main(command) == 0
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Anatomy]:
    return {file: Anatomy(file.read_text(encoding="utf-8")) for file in site.rglob("*.html")}


@pytest.fixture(scope="module")
def facts(folder: Path) -> Facts:
    return gather(folder, None)


def reached(pages: dict[Path, Anatomy], site: Path) -> set[tuple[Path, str]]:
    """Files and anchors that some page links to, from the first page on; AssertionError where nothing is there."""
    seen, waiting, found = {site / "index.html"}, [site / "index.html"], set()
    while waiting:
        file = waiting.pop()
        for address in pages[file].links:
            parts = urlsplit(address)
            if parts.scheme or address.startswith(("data:", "#svg")):
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert target.is_relative_to(site), (file, address)
            assert target.is_file(), (file, address)
            if target in pages:
                assert not parts.fragment or unquote(parts.fragment) in pages[target].ids, (file, address)
                found.add((target, unquote(parts.fragment)))
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
    assert pages.keys() - seen <= {site / "search.html"} | {file for file in pages if (site / "case") in file.parents}
    return found


def test_every_link_leads_somewhere_and_every_page_is_linked_to(pages: dict[Path, Anatomy], site: Path) -> None:
    found = reached(pages, site)
    assert len({file for file, _ in found}) > len(FORMATS) + len(REPORTS)


def test_each_record_has_a_row_with_its_word_and_a_permalink(
    facts: Facts, pages: dict[Path, Anatomy], site: Path
) -> None:
    for loader in facts.loaders:
        for own in loader.report.records:
            case = facts.cases[own.id]
            assert anchor(own.id) in pages[site / f"{case.page}.html"].ids
            stub = site / f"{case_path(own.id)}.html"
            assert stub.resolve().is_relative_to(site / "case")
            (target,) = {address for address in pages[stub].links if "#" in address}
            path, _, fragment = target.partition("#")
            assert (stub.parent / unquote(path)).resolve() == site / f"{case.page}.html"
            assert unquote(fragment) == anchor(own.id)
            assert own.verdict == "refused" or own.id in pages[site / f"{case.page}.html"].text
    row = pages[site / "cases/synthetic/gptq.html"].text
    assert re.search(r"synthetic/gptq-plain[^\n]*\n?[^\n]*pass.*wrong", row, re.DOTALL)


def test_each_cause_has_a_page_with_all_of_its_cases(facts: Facts, pages: dict[Path, Anatomy], site: Path) -> None:
    faults = [fault for loader in facts.loaders for fault in loader.faults]
    assert len({fault.page for fault in faults}) == len(faults) >= 4
    for fault in faults:
        page = pages[site / f"{fault.page}.html"]
        for own in fault.cause.records:
            assert anchor(own.id) in page.ids
            assert " ".join(own.why.split()) in " ".join(page.text.split())
        assert "mlx-quant-conformance show" in page.text
    listed = pages[site / "causes/index.html"].links
    assert all(any(fault.page.partition("/")[2] in unquote(address) for address in listed) for fault in faults)


def test_loaders_and_families_meet_on_the_first_page(facts: Facts, pages: dict[Path, Anatomy], site: Path) -> None:
    first = pages[site / "index.html"]
    assert "Does this loader read that checkpoint correctly?" in first.text
    for kind in families.families():
        assert kind.title in first.text
    for loader in facts.loaders:
        page = pages[site / f"{loader.page}.html"]
        assert {kind.id for kind in loader.kinds} <= set(page.ids)
    # What is said of a family is what its cases give, and leads to the cause.
    due = {"gptq": families.SILENT, "awq": families.UNCLAIMED, "fp8": families.LOUD}
    wrong = next(loader for loader in facts.loaders if loader.slug == "faulty.so")
    for slug, word in due.items():
        kind = next(kind for kind in wrong.kinds if kind.family.title == FIRST[slug])
        assert kind.states["dense"].word == word
        assert bool(kind.faults["dense"]) == (word != families.UNCLAIMED)
        row = re.search(rf'<tr id="{kind.id}">.*?</tr>', (site / f"{wrong.page}.html").read_text())
        assert row
        assert word in row[0]
        assert all(fault.page.rpartition("/")[2] in row[0] for fault in kind.faults["dense"])
    assert "a part of the suite only" in first.text


@pytest.mark.parametrize("slug", sorted(BY_SLUG))
def test_each_format_has_its_layout_formula_and_readers(slug: str, pages: dict[Path, Anatomy], site: Path) -> None:
    format, page = BY_SLUG[slug], pages[site / f"formats/{slug}.html"]
    assert format.TITLE in page.text
    assert {"readers", "writers", "formula", "layout", "vectors"} <= set(page.ids)
    for tensor in (format.LAYOUT.codes, format.LAYOUT.scales):
        assert tensor in page.text
    text = (site / f"formats/{slug}.html").read_text()
    assert text.count('<svg class="layout"') == sum(2 + (d.zeros is not None) for d in pictures.drawings(format))
    assert "faulty.so" in page.text


@pytest.mark.parametrize("slug", sorted(BY_SLUG))
def test_pictures_say_what_the_proven_addresses_say(slug: str) -> None:
    """Each box, taken back to bits: the bit at that place of that tensor is that bit of that number."""
    format = BY_SLUG[slug]
    found = pictures.drawings(format)
    assert bool(found) == bool(format.SHAPES)
    for drawing in found:
        places = np.asarray(format.LAYOUT.code_places(drawing.shape))
        drawn = 0
        for number, row in enumerate(drawing.codes.rows):
            for field in row:
                for bit in range(field.first, field.last + 1):
                    (o, i), b = field.owner, field.low + bit - field.first
                    assert places[o, i, b] == number * pictures.BITS + bit
                    drawn += 1
        assert drawn == np.unique(places[places < pictures.WORDS * pictures.BITS]).size
        scales = np.asarray(format.LAYOUT.scale_places(drawing.shape))[: drawing.blocks.rows, : drawing.blocks.columns]
        painted = np.full(scales.shape, -1)
        for top, left, tall, broad, scale in drawing.blocks.found:
            assert (painted[top : top + tall, left : left + broad] == -1).all()
            painted[top : top + tall, left : left + broad] = scale
        assert (painted == scales).all()


def test_what_reports_say_is_text_and_stays_in_the_folder(pages: dict[Path, Anatomy], site: Path) -> None:
    for file, page in pages.items():
        assert file.resolve().is_relative_to(site)
        assert page.handlers == [], file
        assert not any("alert(" in script for script in page.scripts), file
        assert "49" not in page.text or "{{ 7 * 7 }}" in page.text, file
    assert not any(
        set(file.name) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") for file in pages
    )
    said = "".join(page.text for page in pages.values())
    assert "<script>alert(1)</script>" in said
    assert "\x1b" not in said


def test_the_survey_is_a_page(pages: dict[Path, Anatomy], site: Path, survey: Path) -> None:
    assert "a/read" in pages[site / "survey/1.html"].text
    assert "<img src=x" in pages[site / "survey/1.html"].text
    assert "2 repos" in pages[site / "survey/index.html"].text
    assert (site / "files/survey.parquet").read_bytes() == survey.read_bytes()


def test_the_search_finds_cases_causes_loaders_and_formats(facts: Facts, site: Path) -> None:
    index = (site / "searchindex.js").read_text()
    for id in facts.cases:
        assert id.rpartition(".")[2] in index or HOSTILE[:8] in id
    assert all(format in index for format in FORMATS)


def test_two_builds_are_equal(site: Path, folder: Path, survey: Path, tmp_path: Path) -> None:
    """By another process, whose sets have another order, in another folder."""
    code = (
        "import sys; from pathlib import Path; from conformance.site import build; "
        "out, reports, survey = map(Path, sys.argv[1:]); build(out, reports, survey=survey, exports=False)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "again"), str(folder), str(survey)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "7"}, check=True)
    assert digests(tmp_path / "again") == digests(site)


def digests(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): sha256(file.read_bytes()).hexdigest() for file in files}


def test_nothing_is_built_over_what_is_there_or_from_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(SiteError, match="is there already"):
        build(tmp_path / "full", folder, exports=False)
    (tmp_path / "none").mkdir()
    with pytest.raises(SiteError, match="holds no report"):
        build(tmp_path / "out", tmp_path / "none", exports=False)
    (tmp_path / "none/bad.jsonl").write_text("{}")
    with pytest.raises(SiteError, match="no report"):
        build(tmp_path / "out", tmp_path / "none", exports=False)
    with pytest.raises(SiteError, match="no table of a survey"):
        build(tmp_path / "out", folder, survey=tmp_path / "none/bad.jsonl", exports=False)
    with pytest.raises(SiteError, match="no export"):
        build(tmp_path / "out", folder, vectors=tmp_path / "none")
    assert main(["site", str(tmp_path / "out"), "--reports", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_the_archive_of_a_format_holds_its_tests_and_no_others(tmp_path: Path) -> None:
    one, other = sorted(BY_SLUG)[:2]
    out = tmp_path / "export"
    entries = [{"path": "README.md"}, {"path": "schema/a.json"}, {"path": f"checkpoints/{one}-x/config.json"}]
    entries.append({"path": f"checkpoints/{other}-x/config.json"})
    for slug in (one, other):
        entries.append({"path": f"{slug}_vectors.json", "format": slug, "tests": 3})
        entries.append({"path": f"{slug}_vectors.safetensors"})
    for entry in entries:
        file = out / str(entry["path"])
        file.parent.mkdir(parents=True, exist_ok=True)
        slug = str(entry["path"]).partition("_vectors")[0]
        file.write_text(json.dumps({"tensors": f"{slug}_vectors.safetensors"}))
    (out / "manifest.json").write_text(json.dumps({"suite": "2026.1", "files": entries}))
    tests = [{"id": f"checkpoints/{slug}-x", "format": slug} for slug in (one, other)]
    (out / "checkpoints.json").write_text(json.dumps({"tests": tests}))
    found = archives.write(out, tmp_path / "a")
    assert archives.write(out, tmp_path / "b") == found
    assert found[one].tests == 4
    assert sha256((tmp_path / f"b/{one}.zip").read_bytes()).hexdigest() == found[one].sha256
    with zipfile.ZipFile(tmp_path / f"a/{one}.zip") as archive:
        held = {name.partition("/")[2] for name in archive.namelist()}
        assert held == {
            *("README.md", "schema/a.json", f"checkpoints/{one}-x/config.json", "checkpoints.json"),
            *(f"{one}_vectors.json", f"{one}_vectors.safetensors"),
        }
        assert [test["format"] for test in json.loads(archive.read(f"{one}/checkpoints.json"))["tests"]] == [one]


def test_documents_bring_what_they_link_to(tmp_path: Path) -> None:
    found = documents.copy(ROOT, tmp_path)
    assert {f"docs/{file.stem}" for file in (ROOT / "docs").glob("*.md")} | {"README"} <= set(found)
    for name in found:
        file = tmp_path / f"{name}.md"
        for target in re.findall(r"\]\(([^()\s#]+)[^()\s]*\)", file.read_text()):
            if "://" not in target and not target.endswith(".page"):
                assert (file.parent / target).is_file(), (name, target)


@pytest.mark.parametrize(
    "text", ["plain", "../../etc/passwd", "..", "", "a/b", "a b", "x" * 300, "é", ".hidden", "a?b#c", "CON.", "a%2e"]
)
def test_names_of_files_are_one_harmless_part(text: str) -> None:
    name = file_name(text)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,95}", name)
    assert name == text or name != file_name(f"{text} ")
    assert re.fullmatch(r"[A-Za-z0-9_./=+~-]*", anchor(text))
    assert clean(text) == text


def test_links_are_relative() -> None:
    assert link("index", "loaders/a.html") == "loaders/a.html"
    assert link("loaders/a", "index.html", "top") == "../index.html#top"
    assert link("cases/x/y", "cases/x/y.html") == "y.html"
