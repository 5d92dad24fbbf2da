"""The gate, ``verify`` and ``speed``: what fails a build, and what does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from conformance import suite
from conformance.bench import speed
from conformance.cli.main import app
from conformance.run import baseline
from conformance.run import judge as judging
from conformance.run.baseline import Baseline, BaselineError, Known
from conformance.run.record import Record, Report
from conformance.subjects.resolve import ORACLE, resolve

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "fixtures/awq_gemm/models"
TODAY = date(2026, 11, 23)
WHY = Known(["b"], "its biases are rounded", "https://example.org/issues/1", "2027-01-31")


def report(suite: str = "2026.1", **verdicts: str) -> Report:
    header = {"suite": suite, "subject": "loader", "partial": False, "info": {}, "claims": ["dense"]}
    return Report(header, [Record(id, "vectors", "dense", [], verdict) for id, verdict in verdicts.items()])


def known(*entries: Known, **verdicts: str) -> Baseline:
    return Baseline("2026.1", "loader", verdicts, list(entries))


@pytest.mark.parametrize(
    ("before", "after", "list_name", "faulty"),
    [
        (known(a="pass"), report(a="pass"), None, False),
        (known(a="pass"), report(a="fail"), "worse", True),
        (known(a="pass"), report(a="refused"), "worse", True),
        (known(a="refused"), report(a="fail"), "worse", True),
        (known(WHY, b="fail"), report(b="error"), "worse", True),
        (known(a="refused"), report(a="pass"), "better", False),
        (known(WHY, b="fail"), report(b="fail"), None, False),
        (known(b="fail"), report(b="fail"), "unexplained", True),
        (known(WHY, b="fail", c="fail"), report(b="fail", c="pass"), "better", False),
        (known(WHY, b="fail"), report(b="pass"), "stale", True),
        (known(a="pass", gone="pass"), report(a="pass"), "stale", True),
        (known(a="pass"), report(a="pass", new="pass"), "unmatched", True),
        (known(a="pass"), report("2027.1", a="pass"), "stale", True),
    ],
)
def test_what_a_run_has_to_say_to_a_baseline(
    before: Baseline, after: Report, list_name: str | None, faulty: bool
) -> None:
    found = baseline.compare(before, after, TODAY)
    assert bool(found.faults) == faulty, found
    if list_name:
        assert getattr(found, list_name), found
    else:
        assert not list(baseline.summary(found))


def test_an_explanation_expires() -> None:
    before, after = known(WHY, b="fail"), report(b="fail")
    assert not baseline.compare(before, after, date(2027, 1, 31)).faults
    found = baseline.compare(before, after, date(2027, 2, 1))
    assert found.expired
    assert "its biases are rounded" in found.expired[0]


def test_a_baseline_is_of_one_subject() -> None:
    with pytest.raises(BaselineError, match="another"):
        baseline.compare(Baseline("2026.1", "another", {"a": "pass"}), report(a="pass"), TODAY)


@pytest.mark.parametrize(
    "entry",
    [
        {"cases": ["b"], "reason": " ", "link": "https://example.org", "expires": "2027-01-31"},
        {"cases": [], "reason": "x", "link": "https://example.org", "expires": "2027-01-31"},
        {"cases": ["b"], "reason": "x", "link": "later", "expires": "2027-01-31"},
        {"cases": ["b"], "reason": "x", "link": "https://example.org", "expires": "never"},
    ],
)
def test_a_known_failure_says_why_where_and_until_when(entry: dict[str, Any]) -> None:
    with pytest.raises(BaselineError):
        Known(**entry)


def test_an_update_keeps_reasons_asks_for_new_ones_and_drops_old_ones(tmp_path: Path) -> None:
    old = Known(["z*"], "mended since", "https://example.org/issues/2", "2027-01-31")
    before = known(WHY, old, b="fail", z1="fail", c="pass")
    with pytest.raises(BaselineError, match="1 failing cases need"):
        baseline.update(before, report(b="fail", z1="pass", c="fail"), None)
    explain = Known(["*"], "new", "https://example.org/issues/3", "2027-03-01")
    after = baseline.update(before, report(b="fail", z1="pass", c="fail"), explain)
    assert [entry.reason for entry in after.known] == [WHY.reason, "new"]
    assert after.known[1].cases == ["c"]
    file = tmp_path / "baseline.json"
    after.write(file)
    assert baseline.read(file) == after
    assert not baseline.compare(after, report(b="fail", z1="pass", c="fail"), TODAY).faults


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2, "cases": {}}', '{"format": 1, "cases": {"good": []}}'])
def test_what_is_no_baseline_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "baseline.json").write_text(text)
    with pytest.raises(BaselineError):
        baseline.read(tmp_path / "baseline.json")


@pytest.fixture
def invoke() -> Callable[..., tuple[int, str]]:
    def call(*arguments: object) -> tuple[int, str]:
        found = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.exit_code, found.output

    return call


def test_the_gate_from_the_first_baseline_to_a_regression(
    tmp_path: Path, invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It runs seven times here, so over one level of one format only.
    few = [case for case in suite.cases() if (case.level, case.format) == ("vectors", "gptq")]
    monkeypatch.setattr(judging, "cases", lambda exhaustive: few)
    monkeypatch.setattr(judging, "FLOORS", {("vectors", "dense"): len(few)})
    file = tmp_path / "baseline.json"
    wrong = "--subject=mutant:ZP-03"
    assert invoke("gate", wrong, f"--baseline={file}")[0] == 2
    status, output = invoke("gate", wrong, f"--baseline={file}", "--update")
    assert status == 2, output
    assert "need --reason" in output
    explained = ("--reason=15 + 1", "--link=https://example.org/issues/4", "--expires=2099-01-01")
    assert invoke("gate", wrong, f"--baseline={file}", "--update", *explained)[0] == 0
    written = json.loads(file.read_text())
    assert written["cases"]["fail"]
    status, output = invoke("gate", wrong, f"--baseline={file}")
    assert status == 0, output
    # The same loader before it had the fault: what fails now passed then.
    written["cases"]["pass"].append(written["cases"]["fail"].pop(0))
    file.write_text(json.dumps(written))
    status, output = invoke("gate", wrong, f"--baseline={file}")
    assert status == 1, output
    assert "WORSE" in output
    written["known"][0]["expires"] = "2020-01-01"
    file.write_text(json.dumps(written))
    assert "EXPIRED" in invoke("gate", wrong, f"--baseline={file}")[1]
    assert invoke("gate", "--subject=mutant:ZP-01", f"--baseline={file}")[0] == 2


def test_verify_compares_the_bits_of_a_checkpoint(tmp_path: Path, invoke: Any) -> None:
    status, output = invoke("verify", MODELS / "llama-awq-g32")
    assert status == 0, output
    assert "verified: 14 modules, 1,179,648 weights, 0 wrong" in output
    assert invoke("verify", ROOT / "fixtures/base/qwen2-base")[0] == 1
    assert invoke("verify", tmp_path / "nothing")[0] == 2
    broken = tmp_path / "broken"
    shutil.copytree(MODELS / "llama-awq-g32", broken)
    config = json.loads((broken / "config.json").read_text())
    config["quantization_config"]["group_size"] = 64
    (broken / "config.json").write_text(json.dumps(config))
    status, output = invoke("verify", broken)
    assert status == 1, output


def test_verify_sees_one_wrong_weight(tmp_path: Path, oracle: Any) -> None:
    from conformance.run.verify import modules

    class OneBit:
        name, framework, refusals = "one-bit", "torch", oracle.refusals

        def open(self, folder: Path) -> Any:
            sound = dict(oracle.open(folder))
            sound["model.layers.1.mlp.up_proj.weight"][3, 5] *= 2
            del sound["model.layers.0.mlp.up_proj.weight"]
            return sound

    found = {module.name: module for module in modules(OneBit(), oracle, MODELS / "llama-awq-g32")}
    assert {name for name, module in found.items() if module.complaint} == {
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.1.mlp.up_proj.weight",
    }
    assert found["model.layers.1.mlp.up_proj.weight"].wrong == 1
    assert "has no such module" in found["model.layers.0.mlp.up_proj.weight"].complaint


@pytest.fixture(scope="module")
def oracle() -> Any:
    return resolve(ORACLE)


def _benchmarks(file: Path, **changes: Any) -> Path:
    found: dict[str, Any] = {
        "machine_info": {"node": "a", "processor": "x", "machine": "m", "python_version": "3.11", "system": "Linux"},
        "datetime": "2026-11-23T10:00:00+00:00",
        "benchmarks": [{"fullname": "bench.py::test[gptq]", "stats": {"min": 0.1}}],
    }
    file.write_text(json.dumps(found | changes))
    return file


def test_speed_is_compared_on_one_machine_in_one_job(tmp_path: Path, invoke: Any) -> None:
    base = _benchmarks(tmp_path / "base.json")

    def bench(**stats: float) -> dict[str, Any]:
        return {"benchmarks": [{"fullname": name, "stats": {"min": value}} for name, value in stats.items()]}

    same = {"benchmarks": [{"fullname": "bench.py::test[gptq]", "stats": {"min": 0.109}}]}
    slow = {"benchmarks": [{"fullname": "bench.py::test[gptq]", "stats": {"min": 0.12}}]}
    head = tmp_path / "head.json"
    assert invoke("speed", base, _benchmarks(head, **same))[0] == 0
    status, output = invoke("speed", base, _benchmarks(head, **slow))
    assert status == 1
    assert "SLOWER   +20.0%" in output
    assert invoke("speed", base, head, "--slower=25")[0] == 0
    for changes in (
        bench(other=0.1),
        {"machine_info": {"node": "b"}},
        {"datetime": "2026-11-24T10:00:00+00:00"},
    ):
        assert invoke("speed", base, _benchmarks(head, **changes))[0] == 2
    empty = _benchmarks(tmp_path / "empty.json", benchmarks=[])
    assert invoke("speed", empty, empty)[0] == 2
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(speed.SpeedError):
        list(speed.pairs(tmp_path / "no.json", base))


@pytest.fixture(scope="module")
def example() -> Iterator[Report]:
    """The worked example's loader, asked everything once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples/downstream"))
        yield judging.judge(resolve("py:tiny_loader.subject:SUBJECT"), resolve(ORACLE), name="tiny-loader")


def test_the_worked_example_passes_its_gate_and_a_regression_does_not(
    example: Report, oracle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = resolve("py:tiny_loader.subject:SUBJECT")
    before = baseline.read(ROOT / "examples/downstream/conformance.json")
    found = baseline.compare(before, example, TODAY)
    assert not found.faults, found.faults
    assert not found.better, found.better

    import tiny_loader

    sound = tiny_loader._groups
    monkeypatch.setattr(
        tiny_loader,
        "_groups",
        lambda config, tensors, rows, groups: sound(
            config,
            {name: array for name, array in tensors.items() if name != "g_idx"} if groups > 1 else tensors,
            rows,
            groups,
        ),
    )
    few = [case for case in suite.cases() if case.format == "gptq" and case.level in ("vectors", "synthetic")]
    monkeypatch.setattr(judging, "cases", lambda exhaustive: few)
    found = baseline.compare(before, judging.judge(subject, oracle, name="tiny-loader"), TODAY)
    assert any("act-order" in line for line in found.worse), found


@pytest.mark.parametrize("suite", ["2026.1", "2026.2", "2026.3", "2026.4"])
def test_a_baseline_of_an_earlier_suite_is_brought_to_this_one(
    suite: str, example: Report, invoke: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    """The worked example's baseline as it was committed with that suite; every id of it stays or is retired."""
    # What it is asked is the same each time, and takes a while.
    monkeypatch.setattr(judging, "judge", lambda *_, **__: example)
    file = tmp_path / "baseline.json"
    shutil.copy(ROOT / f"tests/harness/data/baseline-{suite}.json", file)
    before = baseline.read(file)
    arguments = ["gate", "--subject=py:tiny_loader.subject:SUBJECT", f"--baseline={file}"]
    status, said = invoke(*arguments)
    assert status == 1
    assert "--migrate it" in said
    why = ["--reason=it takes a file without sym for asymmetric", "--link=https://example.org/19"]
    why.append("--expires=2027-06-30")
    status, said = invoke(*arguments, "--migrate", *why)
    assert status == 0, said
    retired = "policies/eights-without-sym"
    assert (f"{retired} is no more: sym means true where it is absent" in said) == (retired in before.cases)
    after = baseline.read(file)
    assert after.suite != before.suite
    assert after.known[: len(before.known)] == before.known
    kept = before.cases.keys() - baseline.RETIRED.keys()
    assert {id: after.cases[id] for id in kept} == {id: before.cases[id] for id in kept}
    assert invoke(*arguments)[0] == 0


def test_a_migration_hides_no_regression() -> None:
    before = Baseline("2026.1", "loader", {"a": "pass", "policies/eights-without-sym": "pass"}, [])
    after, lines = baseline.migrate(before, report("2026.2", a="pass", new="pass"), None)
    assert (after.suite, after.cases, len(lines)) == ("2026.2", {"a": "pass", "new": "pass"}, 1)
    with pytest.raises(BaselineError, match="was pass, now fail"):
        baseline.migrate(before, report("2026.2", a="fail"), WHY)
    with pytest.raises(BaselineError, match="no list of retired cases"):
        baseline.migrate(Baseline("2026.1", "loader", {"b": "pass"}, []), report("2026.2", a="pass"), None)


def test_no_retired_case_is_asked_again() -> None:
    from conformance.suite import cases

    assert not baseline.RETIRED.keys() & {case.id for case in cases()}
