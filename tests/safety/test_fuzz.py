"""The fuzzer's past findings, each of which once ended without a type, never, or with something left behind."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tests.safety import tiny
from tests.safety.fuzz import Campaign
from tests.safety.results import Results
from tests.safety.trial import Trial, bases, imports, numbered, settle

FINDINGS = [json.loads(line) for line in Path(__file__).with_name("findings.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    imports()
    found = Trial(tmp_path_factory.mktemp("fuzz"))
    settle(found)
    return found


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, trial: Trial) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(trial.folder / "tmp"))


@pytest.mark.parametrize("finding", FINDINGS, ids=range(len(FINDINGS)))
def test_a_finding_stays_found(trial: Trial, finding: dict[str, Any]) -> None:
    """``from`` says who found it, ``was`` how it ended then."""
    assert finding["from"]
    assert finding["was"]
    ended, wrong = trial.run(finding["base"], finding["edits"])
    assert wrong is None, ended


@pytest.mark.parametrize("base", sorted(tiny.QUANTIZATION))
def test_an_input_without_edits_is_sound(trial: Trial, base: str) -> None:
    """So that a refusal of another one is due to its edits."""
    assert trial.run(base, [["flip", "tokenizer_config.json", 0, ord("{")]]) == ("done", None)


def test_the_fuzzer_notices_an_error_without_a_type(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise AttributeError("no such thing")

    monkeypatch.setattr(Trial, "_use", broken)
    ended, wrong = trial.run("gptq", [])
    assert (ended, "AttributeError: no such thing" in str(wrong)) == ("broken", True)


def test_a_file_is_replaced_twice(trial: Trial) -> None:
    """A crash of the fuzzer itself, found by input 990 of seed 0."""
    name = "model-00002-of-00002.safetensors"
    for first in ("folder", "pipe", "link", "gone"):
        for second in ("folder", "pipe", "link", "gone"):
            ended, wrong = trial.run("gptq", [["name", name, first], ["name", name, second]], ("auto",))
            assert (ended in ("missing-file", "unsafe-path", "unreadable-file", "bad-file"), wrong) == (True, None), (
                ended
            )


def test_the_fuzzer_notices_what_is_left(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Trial, "_use", lambda self, source, out, door, tokenizer: (out.parent / ".out.partial-x").mkdir()
    )
    assert "left behind" in str(trial.run("gptq", [])[1])


def test_the_fuzzer_notices_a_thread_that_stays(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each decode left one behind, until a process could make no more."""
    leave = threading.Event()
    monkeypatch.setattr(Trial, "_use", lambda *_, **__: threading.Thread(target=leave.wait).start())
    try:
        assert trial.run("gptq", [], ("inspect",)) == ("done", "inspect: a thread is left behind")
    finally:
        leave.set()


def test_an_input_follows_from_its_number_alone() -> None:
    sound = bases()
    first, second = ([numbered(3, number, sound) for number in numbers] for numbers in (range(40), range(39, -1, -1)))
    assert first == second[::-1]
    assert first != [numbered(4, number, sound) for number in range(40)]
    assert {one.base for one in first} == set(sound)


def _doomed(seed: int, folder: str, pipe: Connection) -> None:
    """Dies of number 3, hangs at 60 where no signal of Python's is heard, complains of each seventh."""
    pipe.send(("ready", 0, "", None))
    while share := pipe.recv():
        for number in range(*share):
            pipe.send(("try", number, "", None))
            if number == 3:
                os.abort()
            if number == 60:
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
                time.sleep(600)
            pipe.send(("end", number, "done", f"wrong in /tmp/{number}/x" if number % 7 == 0 else None))
        pipe.send(("ready", 0, "", None))


def test_a_campaign_outlives_its_workers_and_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "fuzz.json"
    for count in (50, 100, 100):
        results = Results(file, 0, 0, count)
        Campaign(results, 2, 120, _doomed, limit=3).run(tmp_path)
        stored = json.loads(file.read_text())
        assert (stored["inputs"], stored["tried"]) == (count, [[0, count]])
    assert stored["endings"] == {"done": 98, "crash": 2}
    found = stored["findings"]
    assert found.pop("the process ends with -6") == [3]
    assert found.pop("hangs where Python's clock is not heard") == [60]
    assert {text: sorted(numbers) for text, numbers in found.items()} == {"wrong in x": list(range(0, 100, 7))}


def test_a_campaign_stops_when_it_is_over_and_counts_what_it_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Campaign, "_is_over", lambda self: len(self.results.tried) > 200)
    file = tmp_path / "fuzz.json"
    Campaign(Results(file, 0, 100, 10**7), 1, 60, _doomed).run(tmp_path)
    stored = json.loads(file.read_text())
    assert 200 < stored["inputs"] < 300
    assert stored["inputs"] == sum(stored["endings"].values()) == sum(end - first for first, end in stored["tried"])
