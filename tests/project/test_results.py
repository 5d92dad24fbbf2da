"""The committed reports of the loaders: whole, of this suite, and what the README says of them."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conformance import SUITE_VERSION, suite
from conformance.run import judge as judging
from conformance.run import record as records
from conformance.subjects.ask import single_threaded
from conformance.subjects.resolve import CORE, ORACLE, resolve

ROOT = Path(__file__).parents[2]
RESULTS = sorted((ROOT / "docs/results").glob("*.jsonl"))
# Each is looked at by several tests, and has some thousands of records.
read = cache(records.read)


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"examples/adapters/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_a_report_is_whole_and_of_this_suite(file: Path) -> None:
    report = read(file)
    assert report.header["suite"] == SUITE_VERSION
    assert not report.header["partial"]
    assert not report.below_floor
    claims = report.header["claims"]
    due = {case.id: (case.claim, sorted(case.flags), case.asked) for case in suite.cases() if case.claim in claims}
    assert {record.id: (record.claim, record.flags, record.asked) for record in report.records} == due


def test_every_adapter_has_a_report() -> None:
    measure = script("measure")
    names = {*measure.HERE, *measure.ELSEWHERE, measure.COMPILED}
    assert {file.stem for file in RESULTS} == names
    tox = (ROOT / "tox.ini").read_text()
    assert all(f"[testenv:loader-{name}]" in tox for name in measure.ELSEWHERE)
    assert all(name in tox.partition("[testenv:adapter-{")[2].partition("}]")[0].split(",") for name in names)


def test_the_tables_say_what_the_reports_say() -> None:
    for file, text in script("publish").pages(read).items():
        assert file.read_text() == text, f"{file.name}: run examples/adapters/publish.py"


@pytest.mark.parametrize("every", [16, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("stem", "called"), [("mlx-quant", CORE), ("reference", ORACLE)])
def test_our_own_reports_can_be_repeated(stem: str, called: str, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some cases from every level: how they all come out, the selftest has seen; here, that the report says so."""
    single_threaded()
    few = suite.cases()[::every]
    monkeypatch.setattr(judging, "cases", lambda exhaustive: few)
    now = judging.judge(resolve(called), resolve(ORACLE), name=called)
    told = {record.id: (record.verdict, record.wrong) for record in now.records}
    written = read(ROOT / f"docs/results/{stem}.jsonl").records
    assert told == {record.id: (record.verdict, record.wrong) for record in written if record.id in told}
    assert len(told) > len(written) // (every + 1)


def test_what_is_published_of_us_is_that_we_conform() -> None:
    for stem in ("mlx-quant", "reference", "c-decoder"):
        assert judging.status(read(ROOT / f"docs/results/{stem}.jsonl")) == 0


def test_every_reproduction_is_on_its_page() -> None:
    folder = ROOT / "examples/reproductions"
    page = (folder / "README.md").read_text()
    files = list(folder.glob("*.py"))
    assert files
    assert all(f"({file.name})" in page for file in files)
