"""The fuzzer's past findings, each of which once ended without a type, never, or with something left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.safety import fuzz, tiny

FINDINGS = [json.loads(line) for line in Path(__file__).with_name("findings.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> fuzz.Trial:
    return fuzz.Trial(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, trial: fuzz.Trial) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(trial.folder / "tmp"))


@pytest.mark.parametrize("finding", FINDINGS, ids=range(len(FINDINGS)))
def test_a_finding_stays_found(trial: fuzz.Trial, finding: dict[str, Any]) -> None:
    ended, wrong = trial.run(finding["base"], finding["edits"])
    assert wrong is None, ended


@pytest.mark.parametrize("base", sorted(tiny.QUANTIZATION))
def test_an_input_without_edits_is_sound(trial: fuzz.Trial, base: str) -> None:
    """So that a refusal of another one is due to its edits."""
    assert trial.run(base, [["flip", "tokenizer_config.json", 0, ord("{")]]) == ("done", None)


def test_the_fuzzer_notices_an_error_without_a_type(trial: fuzz.Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise AttributeError("no such thing")

    monkeypatch.setattr(fuzz.Trial, "_use", broken)
    ended, wrong = trial.run("gptq", [])
    assert (ended, "AttributeError: no such thing" in str(wrong)) == ("broken", True)


def test_the_fuzzer_notices_what_is_left(trial: fuzz.Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        fuzz.Trial, "_use", lambda self, source, out, tokenizer: (out.parent / ".out.partial-x").mkdir()
    )
    assert "left behind" in str(trial.run("gptq", [])[1])


def test_a_seed_gives_the_same_inputs() -> None:
    bases = {base: tiny.files(base) for base in tiny.QUANTIZATION}
    first, second = (fuzz.inputs(3, 0, bases) for _ in range(2))
    assert [next(first) for _ in range(50)] == [next(second) for _ in range(50)]
