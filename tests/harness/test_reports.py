"""Reports: the matrix, JUnit, the page, badges, and the explanation of a wrong weight."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

import numpy as np
import pytest

from conformance import SUITE_VERSION, reports, suite
from conformance.bits.array import Array
from conformance.formats.registry import BY_SLUG, integers
from conformance.reports import families, page, reproduce, variants
from conformance.reports import table as matrix
from conformance.run import judge as judging
from conformance.run import record as records
from conformance.run.causes import SILENT, causes
from conformance.run.record import Record, Report
from conformance.subjects.ask import decode
from conformance.subjects.resolve import ORACLE, resolve
from conformance.subjects.subject import Crashed

QUESTIONS = {question.id: question for question in suite.questions()}
HOSTILE = "</script><img src=x onerror=alert(1)> & \x1b[31m | `x` \ud800"


def record(id: str, verdict: str = "pass", *flags: str, why: str = "", claim: str = "dense", **more: Any) -> Record:
    return Record(id, id.partition("/")[0], claim, sorted(flags), verdict, why, **more)


def report(*cases: Record, name: str = "loader", floor: tuple[str, ...] = (), **header: Any) -> Report:
    base = {
        "suite": "2026.1",
        "subject": name,
        "called": f"py:{name}:SUBJECT",
        "info": {"version": "1.2", "formats": ["gptq"], "excludes": ["out-dtype"]},
        "claims": ["dense"],
        "oracle": {"name": "reference", "version": "1"},
        "platform": "Linux",
        "started": "2026-01-01T00:00:00+00:00",
        "partial": False,
        "exhaustive": False,
    }
    return Report(base | header, list(cases), list(floor))


@pytest.fixture
def mixed() -> Report:
    """One of every outcome, in both formats, of which the loader claims one."""
    return report(
        record("synthetic/a", "pass", "gptq", "symmetric", "no-g_idx", weights=100),
        record("synthetic/b", "fail", "gptq", "symmetric", why=HOSTILE, weights=100, wrong=7, ulps={"1": 4, "more": 3}),
        record("synthetic/c", "fail", "gptq", "asymmetric", why="claimed, but refused: Nope('no')", manner="unread"),
        record("synthetic/d", "error", "gptq", "act-order", why="crashed: KeyError('g_idx')"),
        record("refusals/e", "fail", "gptq", why="decoded"),
        record("synthetic/f", "refused", "awq", "group-size-32", "legacy-config", why="refused: Nope('awq')"),
        record("checkpoints/g", "refused", "awq", why="refused: Nope('awq')", claim="checkpoint"),
        record("affine/h", "pass", "gptq", "symmetric", claim="affine", weights=10, note="as weights: equal"),
        record("generation/i", "pass", "gptq", "act-order", claim="logits"),
    )


@pytest.fixture(scope="module")
def real() -> Report:
    """A loader that does not mask the zero point again after adding 1."""
    name = "mutant:ZP-03"
    return judging.judge(resolve(name), resolve(ORACLE), name=name, only=["synthetic/*"])


def tables(text: str) -> list[list[dict[str, str]]]:
    """Markdown tables as rows by title, bold taken off."""
    found: list[list[dict[str, str]]] = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = [[cell.strip().strip("*") for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
        found.append([dict(zip(lines[0], line, strict=True)) for line in lines[2:]])
    return found


def test_the_matrix_says_what_the_records_say(mixed: Report) -> None:
    gptq, awq, claims = tables(reports.markdown([mixed]))
    dense, affine, model = gptq
    assert dense["symmetric"] == "1 of 2 wrong"
    assert dense["asymmetric"] == "1 of 1 unread"
    assert dense["act-order"] == "1 of 1 crash"
    assert dense["no g_idx"] == "all 1"
    assert dense["refuses bad input"] == "1 of 1 wrong"
    assert dense["all cases"] == "2 of 5 wrong, 1 unread, 1 crash"
    assert (affine["claim"], affine["symmetric"]) == ("affine, not claimed", "all 1")
    # A whole model is not counted among the modules in act-order.
    assert (model["claim"], model["act-order"], model["recitation"]) == ("model", "-", "all 1")
    assert [row["claim"] for row in awq] == ["dense, not claimed", "model, not claimed"]
    assert awq[0]["legacy config"] == "refused"
    assert claims[0]["claim"] == "dense, but out-dtype"
    assert (claims[0]["weights compared"], claims[0]["weights wrong"]) == ("200", "7")
    assert claims[0]["off by up to"] == "over 65536 ulp"


def test_a_cell_of_passes_and_refusals_says_both() -> None:
    cases = [record(f"synthetic/{n}", "pass" if n else "refused", "gptq", "symmetric") for n in range(3)]
    assert matrix.rows([report(*cases)], "gptq")[0].cells[0].text == "2 pass, 1 refused"


FLAGS = {
    "symmetric": "symmetric",
    "asymmetric": "asymmetric",
    "no g_idx": "no-g_idx",
    "g_idx in order": "sequential",
    "act-order": "act-order",
    "arbitrary g_idx": "arbitrary-groups",
    "zero point 0": "zero-point-0",
    "group size -1": "group-size--1",
    "bfloat16 scales": "scales-bfloat16",
    "float32 scales": "scales-float32",
    "legacy config": "legacy-config",
}


@pytest.mark.parametrize("format", ["gptq", "awq"])
def test_counts_of_a_real_run_are_those_of_its_records(real: Report, format: str) -> None:
    row = tables(reports.markdown([real]))[list(variants.TITLES).index(format)][0]
    for title, flag in FLAGS.items():
        own = [r for r in real.records if {format, flag} <= set(r.flags)]
        if title in row:
            wrong = sum(r.verdict == "fail" for r in own)
            assert row[title] == (f"{wrong} of {len(own)} wrong" if wrong else f"all {len(own)}"), title
    assert ("zero point 0" in row) == (format == "gptq")


def test_every_case_of_the_suite_is_in_the_matrix() -> None:
    everything = report(*(record(c.id, "pass", *c.flags, claim=c.claim) for c in suite.cases()))
    rows = [row for format in variants.TITLES for row in matrix.rows([everything], format)]
    assert sum(len(row.records) for row in rows) == len(suite.cases())
    assert [r.format for r in everything.records] == [case.format for case in suite.cases()]
    empty = {(c.format, c.title) for c in variants.COLUMNS} - {
        (cell.column.format, cell.column.title) for row in rows for cell in row.cells if cell.counts
    }
    assert not empty
    # What is to be refused, and nothing else, is under "refuses bad input"; folders have a column of their own.
    declined = {c.id for c in suite.cases() if c.declined and c.claim in ("dense", "affine")}
    columns = [column for column in variants.COLUMNS if column.title == "refuses bad input"]
    assert declined == {r.id for r in everything.records if any(column.holds(r) for column in columns)}


def test_two_reports_of_one_loader_have_a_row_each() -> None:
    pair = [report(record("synthetic/a", "pass", "gptq")), report(record("synthetic/a", "fail", "gptq", why="x"))]
    assert [row.slug for row in matrix.rows(pair, "gptq")] == ["loader", "loader-2"]
    assert len(page.data(pair)["cases"]) == 1


def test_what_is_missing_is_said() -> None:
    partial, short = report(partial=True), report(floor=("vectors: 1 cases, 49 expected",), name="a|b")
    text = reports.markdown([partial, short])
    assert "loader 1.2: a part of the suite only" in text
    assert r"a\|b 1.2: below the floor: vectors: 1 cases, 49 expected" in text
    assert "below the floor: vectors: 1 cases" in reports.html([short])


def junit(of: Report) -> ElementTree.Element:
    return ElementTree.fromstring(reports.junit(of).encode())


def test_junit_has_every_case_and_complaint(mixed: Report) -> None:
    root = junit(mixed)
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == ("9", "3", "1", "2")
    assert [s.get("name") for s in root] == ["synthetic", "refusals", "checkpoints", "affine", "generation"]
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert cases.keys() == {r.id for r in mixed.records}
    for own in mixed.records:
        tags = {"pass": [], "fail": ["failure"], "error": ["error"], "refused": ["skipped"]}[own.verdict]
        assert [child.tag for child in cases[own.id]] == tags
        for child in cases[own.id]:
            expected = own.why.replace("\x1b", "\ufffd").replace("\ud800", "\ufffd")
            assert child.get("message") == expected
            assert f"mlx-quant-conformance show {own.id} --subject py:loader:SUBJECT" in (child.text or "")
    text = cases["synthetic/b"][0].text or ""
    assert "weights: 7 of 100 wrong" in text
    assert "ulps: 4 by 1 ulp, 3 by over 65536 ulp" in text
    properties = {p.get("name"): p.get("value") for p in root[0].iter("property")}
    assert (properties["subject"], properties["suite"]) == ("loader", "2026.1")
    assert json.loads(properties["info"] or "")["version"] == "1.2"


def test_junit_fails_below_the_floor() -> None:
    root = junit(report(record("vectors/a", "pass", "gptq"), floor=("vectors: 1 cases, 49 expected",)))
    assert root.get("errors") == "1"
    (error,) = root.iter("error")
    assert error.get("message") == "vectors: 1 cases, 49 expected"
    assert junit(report()).get("errors") == "1"


class Page(HTMLParser):
    """What a browser would make of the page, as far as it matters here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.scripts: list[str] = []
        self.links: dict[str, str] = {}
        self.addresses: list[str] = []
        self._in: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        self._in.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        tag, attributes = self._in[-1] if self._in else ("", {})
        if tag == "script":
            self.scripts[-1] += data
        if tag == "a":
            self.links[attributes["href"] or ""] = data

    def handle_endtag(self, tag: str) -> None:
        while self._in and self._in.pop()[0] != tag:
            pass


def test_the_page_is_self_contained_and_escapes_what_it_quotes(mixed: Report) -> None:
    named = dataclasses.replace(mixed, header=mixed.header | {"subject": "<b>loader</b>"})
    found = Page(reports.html([named]))
    assert found.tags["b"] == found.tags["img"] == 0
    assert found.tags["script"] == len(found.scripts) == 2
    assert all(address.startswith(("#", "data:")) for address in found.addresses)
    details = json.loads(found.scripts[0])["reports"][0]["details"]
    assert HOSTILE in [detail["why"] for detail in details.values()]
    # All that the script does with it is make text.
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval|fetch|XMLHttp", found.scripts[1])


def test_behind_a_cell_are_the_cases_it_counts(mixed: Report, real: Report) -> None:
    found = Page(reports.html([mixed, real]))
    data = json.loads(found.scripts[0])
    cells = {link: text for link, text in found.links.items() if link.startswith("#loader=")}
    assert len(cells) > 20
    for link, text in cells.items():
        asked = {key: values[0] for key, values in parse_qs(link[1:]).items()}
        (own,) = (r for r in data["reports"] if r["slug"] == asked["loader"])
        (column,) = (n for n, c in enumerate(data["columns"]) if c[:2] == [asked["format"], asked["variant"]])
        counts = Counter(
            data["words"][own["letters"][place]]
            for place, case in enumerate(data["cases"])
            if column in data["held"][place]
            and case[2] in data["rows"][asked["claim"]]
            and own["letters"][place] != " "
        )
        assert matrix.Cell(variants.COLUMNS[column], counts).text == text


def test_the_page_has_faults_in_full_and_passes_in_brief(real: Report) -> None:
    data = page.data([real])
    (own,) = data["reports"]
    bad = {r.id: r for r in real.records if r.bad}
    shown = {data["cases"][place][0]: detail for place, detail in own["details"].items()}
    assert shown.keys() == bad.keys()
    for id, detail in shown.items():
        assert (detail["why"], detail["wrong"], detail["ulps"]) == (bad[id].why, bad[id].wrong, bad[id].ulps)
        assert detail["apart"][-1].strip() == "which is what zero point 16 gives"
    assert len(reports.html([real])) < 160 * len(real.records)


@pytest.mark.parametrize(
    ("cases", "header", "floor", "message", "colour"),
    [
        ("pp", {}, (), "2026.1, 2 pass, 100 % of the suite", "brightgreen"),
        ("ppr", {}, (), "2026.1, 2 pass, 1 refused, 66 % of the suite", "blue"),
        ("pp", {"require": ["sound"]}, (), "2026.1, 2 pass, sound only, 100 % of the suite", "blue"),
        ("pp", {"suite_cases": {}}, (), "2026.1, 2 pass", "lightgrey"),
        ("pfe", {}, (), "2 of 3 fail", "red"),
        ("p", {"partial": True}, (), "partial, 1 pass", "lightgrey"),
        ("p", {}, ("vectors: 1 cases, 49 expected",), "incomplete", "orange"),
        ("", {}, (), "incomplete", "orange"),
    ],
)
def test_badges(cases: str, header: Any, floor: Any, message: str, colour: str) -> None:
    words = {"p": "pass", "f": "fail", "e": "error", "r": "refused"}
    there = {"suite_cases": {"gptq": {"dense": len(cases)}}}
    found = report(*(record(f"a/{n}", words[c], "gptq") for n, c in enumerate(cases)), floor=floor, **(there | header))
    assert json.loads(reports.badge_json(found)) == {
        "schemaVersion": 1,
        "label": "mlx-quant conformance",
        "message": message,
        "color": colour,
    }
    picture = ElementTree.fromstring(reports.badge_svg(found))
    texts = [node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["mlx-quant conformance", message]


def test_a_report_read_back_gives_the_same(real: Report, tmp_path: Path) -> None:
    real.write(tmp_path / "report.jsonl")
    again = records.read(tmp_path / "report.jsonl")
    for make in (reports.markdown, reports.html):
        assert make([again]) == make([real])
    for write in (reports.junit, reports.badge_json, reports.badge_svg):
        assert write(again) == write(real)


PLACES = [
    ("synthetic/gptq-g32-act-order-asym-bfloat16", (9, 77)),
    ("synthetic/gptq-g64-no-g_idx-asym-float16", (39, 255)),
    ("synthetic/awq-g32-float16", (13, 200)),
    ("synthetic/awq-g128-float32", (38, 3)),
]


@pytest.mark.parametrize(("id", "place"), PLACES)
def test_an_explanation_names_the_bits_that_make_the_weight(id: str, place: tuple[int, int]) -> None:
    """Turning over the bits named, and no others, in the file changes what is explained as it says."""
    question = QUESTIONS[id]
    due = question.answer(None)
    wrong = Array(due.dtype, due.bits.copy())
    wrong.bits[place] ^= 1
    text = "\n".join(reproduce.explain(question, wrong))
    assert f"weight [{place[0]}, {place[1]}]" in text
    assert f"0x{due.bits[place]:0{due.bits.itemsize * 2}x}" in text
    assert "1 ulp off" in text
    before = integers(question.config, question.tensors)
    g = before.g[place[1]]
    for name, letter, at in (("qweight", "q", place), ("qzeros", "z", (g, place[0]))):
        row, column, nibble = map(int, re.search(rf"{name}\[(\d+), (\d+)\] = \w+, nibble (\d)", text).groups())  # type: ignore[union-attr]
        stored = Array("int32", question.tensors[name].bits.copy())
        stored.bits.view(np.uint32)[row, column] ^= np.uint32(1 << 4 * nibble)
        after = integers(question.config, question.tensors | {name: stored})
        changed = np.argwhere(getattr(after, letter) != getattr(before, letter))
        assert changed.tolist() == [list(at)]
        assert re.search(rf"{'code q' if letter == 'q' else 'zero point z'} = {getattr(before, letter)[at]}\b", text)
    assert f"group {g} (" in text
    assert (
        f"scales[{g}, {place[0]}] = 0x{question.tensors['scales'].bits[g, place[0]]:0{due.bits.itemsize * 2}x}" in text
    )


def test_nothing_is_explained_where_there_is_no_wrong_weight() -> None:
    question = QUESTIONS["synthetic/gptq-g32-sequential-asym-float16"]
    due = question.answer(None)
    assert reproduce.explain(question, due) == []
    assert reproduce.explain(question, Array(due.dtype, due.bits.T)) == []
    assert reproduce.explain(question, Crashed(KeyError("g_idx"))) == []
    assert reproduce.explain(question, None)[0].startswith("weight [0, 0]")
    refusal = next(q for q in QUESTIONS.values() if q.code)
    assert reproduce.explain(refusal, due) == reproduce.explain_record(refusal, record("x", first=[0, 0])) == []


def test_modules_without_zero_points_and_policies_are_explained() -> None:
    for question in QUESTIONS.values():
        if question.level == "policies":
            text = "\n".join(reproduce.explain(question, None))
            if (zeros := BY_SLUG[question.format].LAYOUT.zeros) is not None:
                assert (f"no {zeros}: zero point" in text) == (zeros not in question.tensors)
    eights = reproduce.explain(QUESTIONS["policies/v1-label-stores-eights"], None)[2]
    assert eights.endswith("stored 8, zero point z = 8 (by policy)")
    # A borrow reaches the fields above the one it started from.
    borrow = QUESTIONS["policies/gptqmodel-0.9.0-borrow"]
    lines = [reproduce.explain_record(borrow, record("x", first=[row, 0]))[2] for row in range(64)]
    assert {line.endswith("(by policy)") for line in lines} == {True, False}


def test_a_complaint_and_the_answer_itself_are_explained_alike(real: Report) -> None:
    subject = resolve("mutant:ZP-03")
    own = next(r for r in real.records if r.bad)
    question = QUESTIONS[own.id]
    again = decode(subject, question.config, question.tensors, question.dtype)
    assert reproduce.explain(question, again) == reproduce.explain_record(question, own) != []
    script = reproduce.reproduction(question, "cmd:./my loader", own).splitlines()
    assert script[0] == f"mlx-quant-conformance show {own.id} --subject 'cmd:./my loader'"
    assert len(script) > 5
    assert all(line.startswith("# ") for line in script[1:])


def test_an_affine_complaint_is_explained_by_what_the_file_stores() -> None:
    case = next(c for c in suite.cases() if c.id == "affine/awq-g32-float16")
    why = "3 of 10240 differ (3 codes); first at (5, 6); rule: biases are exactly -z * s"
    found = report(record(case.id, "fail", *case.flags, why=why, claim="affine", first=[5, 6]), suite=SUITE_VERSION)
    (detail,) = page.data([found])["reports"][0]["details"].values()
    assert detail["apart"][0].startswith("weight [5, 6]")
    other = dataclasses.replace(found, header=found.header | {"suite": "1999.9"})
    assert "apart" not in next(iter(page.data([other])["reports"][0]["details"].values()))


def test_failures_are_grouped_by_their_causes_the_worst_first(mixed: Report) -> None:
    found = causes(mixed)
    assert sum(len(cause.records) for cause in found) == sum(record.bad for record in mixed.records)
    assert found[0].loudness == SILENT
    many = [
        record(f"synthetic/n{n}", "error", "gptq", "no-g_idx", why=f"crashed: KeyError('g_idx') {n}") for n in range(31)
    ]
    silent = record("synthetic/s", "fail", "gptq", why="3 of 9 differ", manner="bits", steps=1.0)
    read = record("refusals/r", "fail", "gptq", why="decoded", manner="accepted", tier="unsound")
    first, second, last = causes(report(*many, silent, read))
    assert (first.slug, second.slug, last.slug) == ("one-off", "needs-g-idx", "unsound-read")
    assert len(second.records) == 31
    (unlike,) = causes(report(record("synthetic/t", "fail", "nvfp4", why="3 of 9 differ", manner="bits", steps=1.0)))
    assert unlike.slug == "other-weights"  # NVFP4 has no zero points


def test_what_numbers_do_not_say_the_flags_do() -> None:
    sound = [record(f"synthetic/a{n}", "pass", "gptq", "sequential") for n in range(9)]
    wrong = [
        record(
            f"synthetic/b{n}", "fail", "gptq", "act-order", why=f"{n} of 9 differ; first at", manner="bits", steps=5.0
        )
        for n in range(7)
    ]
    (cause,) = causes(report(*sound, *wrong))
    assert (cause.slug, len(cause.records)) == ("where-act-order", 7)


def test_what_was_said_is_one_cause_whatever_its_numbers_and_keeps_its_brackets() -> None:
    said = [f"refused: [Errno {n}] No file of torch.Size([{n}, 64]) ({n} in all)" for n in (2, 13)]
    many = [record(f"checkpoints/c{n}", "error", why=why) for n, why in enumerate(said)]
    (cause,) = causes(report(*many))
    assert cause.title == "refused: [Errno N] No file of torch.Size(N) (N in all)"


def test_kinds_of_checkpoints_say_right_wrong_loud_or_unclaimed() -> None:
    def word(*cases: Record) -> str:
        return families.state(cases).word

    right = record("synthetic/a", "pass", "gptq")
    wrong = record("synthetic/b", "fail", "gptq", manner="bits", why="3 of 9 differ")
    loud = record("synthetic/c", "error", "gptq", manner="crashed", why="crashed: KeyError()")
    unread = record("synthetic/d", "fail", "gptq", manner="unread", why="claimed, but refused")
    refused = record("synthetic/e", "refused", "gptq", manner="refused")
    other = record("synthetic/f", "fail", "gptq", manner="bits", why="3 of 9 differ", tier="policy")
    rounded = record("synthetic/g", "fail", "gptq", manner="bits", why="3 of 9 differ", steps=0.2)
    assert word() == families.UNASKED
    assert word(right, refused) == families.RIGHT
    assert word(refused) == families.UNCLAIMED
    assert word(right, rounded, other, loud, unread, wrong) == families.SILENT
    assert word(right, rounded, other, loud) == word(right, unread) == families.LOUD
    assert word(right, rounded, other) == families.OTHER
    assert word(right, rounded) == families.ROUNDED
    text = families.table(
        [report(record("synthetic/b", "fail", "gptq", "bits-4", "symmetric", manner="bits", why="x"))]
    )
    assert "**WRONG**" in text


def test_the_page_opens_on_kinds_and_causes(mixed: Report) -> None:
    text = reports.html([mixed])
    assert text.index('id="kinds"') < text.index('id="causes"') < text.index('id="matrix-')
    for cause in causes(mixed):
        assert f"show {cause.example.id} --subject py:loader:SUBJECT" in text
