"""The table of other loaders: what counts is noticed, damage is damage, and what was found is found again."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.safety import others, tiny, untrusted
from tests.safety.bending import Edit, applied
from tests.safety.damage import ABSENT, damage
from tests.safety.pointed import POINTED

LINUX = os.uname().sysname == "Linux"
ROWS = {row["loader"]: row for row in json.loads(untrusted.NUMBERS.read_text())["rows"]}
FIRST = "model-00001-of-00002.safetensors"
SHORT, LONG = "a tensor's bytes are not as its header says", "a header that cannot be read"
pytestmark = pytest.mark.skipif(not LINUX, reason="the kernel is asked which files are opened")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_HOME", "HF_HUB_OFFLINE", "TRANSFORMERS_VERBOSITY"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())
    return tmp_path / "place"


def examiner(place: Path, use: Callable[[str], object], takes: tuple[str, ...] = ("plain",)) -> others.Examiner:
    """Of a loader that is made up. It loads sound folders, for else it would not be asked."""
    calls: list[str] = []

    def loads(folder: str) -> object:
        calls.append(folder)
        return use(folder) if len(calls) > len(takes) else None

    reads = frozenset({"config", "tokenizer", "weights", "tensors"})
    return others.Examiner(others.Loader("made up", loads, True, takes, reads, (), ""), place)


def raising(error: BaseException) -> Callable[[str], object]:
    def use(_: str) -> object:
        raise error

    return use


MISDEEDS: dict[str, tuple[Callable[[str], object], str | None]] = {
    "loads": (lambda _: object(), None),
    "refuses": (raising(ValueError("no")), None),
    "refuses-hard": (raising(SystemExit(3)), None),
    "asks": (lambda _: input(), others.ASKED),
    "reads-elsewhere": (lambda name: (Path(name).parent / "outside" / "file").read_bytes(), others.OUTSIDE),
    "lists-elsewhere": (lambda name: os.stat(Path(name).parent / "outside" / "file"), None),
    "writes": (lambda name: (Path(name) / "cache").write_text(""), others.LEFT),
    "changes": (lambda name: (Path(name) / "config.json").write_text(""), others.LEFT),
    "leaves": (lambda _: tempfile.mkdtemp(), others.LEFT),
    "sings": (lambda name: (Path(name).parent / "canary").write_text(""), others.RAN),
    "eats": (raising(MemoryError()), others.LARGE),
    "eats-in-c": (raising(RuntimeError("[malloc] Unable to allocate 9 bytes.")), others.LARGE),
}


@pytest.mark.parametrize("name", MISDEEDS)
def test_what_a_loader_does_besides_is_noticed(name: str, place: Path) -> None:
    use, wrong = MISDEEDS[name]
    asked = examiner(place, use).ask(0, others.NAMES.index("pickles") - len(others.NAMES))
    assert asked.wrong == wrong
    assert asked.ended == ("refuses" if name.startswith(("refuses", "eats")) else "loads")


def test_what_never_ends_is_stopped(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it takes every Exception for a fault of a file."""
    monkeypatch.setattr(others, "SECONDS", 1)

    def patient(_: str) -> None:
        while True:
            try:
                time.sleep(60)
            except Exception:
                continue

    asked = examiner(place, patient).ask(0, -1)
    assert (asked.ended, asked.wrong) == ("refuses", others.LATE)


def test_what_is_damaged_may_be_refused_but_not_loaded(place: Path) -> None:
    number = others.NAMES.index("claims") - len(others.NAMES)
    asked = examiner(place / "a", lambda _: object()).ask(0, number)
    assert (asked.ended, asked.wrong) == ("loads, damaged", others.SILENT)
    asked = examiner(place / "b", raising(ValueError())).ask(0, number)
    assert (asked.ended, asked.wrong) == ("refuses, damaged", None)


def test_a_loader_is_not_asked_of_what_it_does_not_load(place: Path) -> None:
    unable = others.Loader("made up", raising(ValueError()), True, ("plain",), frozenset(), (), "")
    with pytest.raises(RuntimeError, match="a sound plain is not loaded"):
        others.Examiner(unable, place / "unable")
    able = examiner(place / "able", lambda _: object())
    asked = [able.ask(0, number).ended.partition(",")[0] for number in range(8)]
    assert set(asked) == {"loads", "not asked"}


SOUND, AWQ = tiny.files("plain"), tiny.files("awq")
HEADER = 8 + int.from_bytes(SOUND[FIRST][:8], "little")


@pytest.mark.parametrize(
    ("edits", "due"),
    [
        ([], None),
        ([["cut", FIRST, len(SOUND[FIRST])]], None),
        ([["cut", FIRST, len(SOUND[FIRST]) - 1]], SHORT),
        ([["cut", FIRST, 100]], LONG),
        ([["cut", FIRST, 0]], LONG),
        ([["cut", FIRST, 100], ["cut", FIRST, 100]], None),
        ([["cut", "config.json", 100]], None),
        ([["name", FIRST, "gone"]], "a shard is not there"),
        ([["name", FIRST, "x\n.json"]], None),
        ([["flip", FIRST, HEADER + 5, 0xFF]], None),
        ([["flip", FIRST, 9, ord("x")]], LONG),
        ([["header", FIRST, "drop", 1, 0]], ABSENT),
        ([["header", FIRST, "drop", 0, 0]], None),
        ([["header", FIRST, "dtype", 1, 2]], SHORT),
        ([["header", FIRST, "dtype", 1, 1]], None),
        ([["header", FIRST, "shape", 1, 0]], SHORT),
        ([["header", FIRST, "shape", 1, 7]], None),
        ([["header", FIRST, "span", 1, 0]], SHORT),
        ([["header", FIRST, "copy", 1, 0]], None),
        ([["header", FIRST, "length", 1, 0]], None),
        ([["header", FIRST, "length", 1, 1]], LONG),
    ],
    ids=range(21),
)
def test_damage_is_beyond_dispute(edits: list[Edit], due: str | None) -> None:
    """Entry 0 of a header is its metadata, 1 the first matrix. Two edits, another dtype as wide, a transposed shape of
    as many: none of them is."""
    bent, _ = applied(SOUND, edits)
    assert damage(SOUND, bent, edits) == due


@pytest.mark.parametrize("name", POINTED)
def test_an_input_bent_on_purpose_differs_from_a_sound_one(name: str, tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "source", AWQ)
    (tmp_path / "outside").mkdir()
    POINTED[name].apply(source, tmp_path / "outside")
    found = {path.name: path.read_bytes() for path in source.iterdir() if path.is_file() and not path.is_symlink()}
    assert found != AWQ


def test_the_page_says_what_the_results_say() -> None:
    assert untrusted.PAGE.read_text() == untrusted.page(), "run tests/safety/others.py --publish"
    assert set(ROWS) == set(others.LOADERS)
    for row in ROWS.values():
        assert set(untrusted.counted(row)) <= set(others.COUNTED)
        assert set(row["pointed"]) == set(POINTED)


def test_shares_add_up_and_the_same_twice_does_not() -> None:
    def share(*tried: list[int], **more: Any) -> dict[str, Any]:
        row = {"loader": "mlx-lm", "seed": 0, "versions": {}, "tried": list(tried), "pointed": {}, "seconds": 1.0}
        return row | {"endings": {"loads": 3, "crash": 1}, "findings": {"x": [tried[0][0]]}} | more

    (row,) = untrusted.merged([share([4, 8]), share([0, 4], [-3, 0])])
    assert (row["endings"], row["findings"]) == ({"loads": 6, "crash": 2}, {"x": [0, 4]})
    assert (row["tried"], row["seconds"]) == ([[-3, 0], [0, 4], [4, 8]], 2.0)
    for other in (share([3, 5]), share([4, 8], versions={"mlx": "1"}), share([4, 8], seed=1)):
        with pytest.raises(SystemExit):
            untrusted.merged([share([0, 4]), other])


def found(name: str) -> list[tuple[int, str]]:
    """The first number of each kind of finding that ends by itself, and what was wrong."""
    return [
        (numbers[0], text)
        for text, numbers in ROWS[name]["findings"].items()
        if untrusted.words(text)[0] not in (others.DIED, others.LATE, others.LARGE)
    ]


@pytest.mark.parametrize("name", ["mlx-lm", "mlx-quant"])
def test_what_was_found_is_found_again(name: str, place: Path) -> None:
    """If the versions of the page are installed. Our own row has nothing, and is asked of one all the same."""
    if ROWS[name]["versions"] != others.versions(name) | {"python": ROWS[name]["versions"]["python"]}:
        pytest.skip(f"the page is of {ROWS[name]['versions']}")
    asked = others.Examiner(others.LOADERS[name], place)
    again = [(number, asked.ask(ROWS[name]["seed"], number).wrong) for number, _ in found(name)]
    assert again == found(name)
    assert asked.ask(0, others.NAMES.index("link-weights") - len(others.NAMES)).wrong == (
        others.OUTSIDE if name == "mlx-lm" else None
    )
