"""One input of the fuzzer: files bent and taken through a door of the library, in limits, and what is left of it."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

from tests.safety import tiny
from tests.safety.bending import Edit, applied, edits, plant

SECONDS = 20
# Where an input goes in, by its share. Every door opens the checkpoint and plans.
DOORS = {"inspect": 3, "auto": 8, "dense": 3, "affine": 2, "load": 4}
Bases = dict[str, dict[str, bytes]]


class Input(NamedTuple):
    base: str
    edits: list[Edit]
    door: str


def bases() -> Bases:
    """The sound checkpoints that are bent, by name."""
    return {method: tiny.files(method) for method in tiny.QUANTIZATION}


def numbered(seed: int, number: int, sound: Bases) -> Input:
    """Input ``number`` of a seed. It depends on nothing before it, so a range of numbers is a share of the work."""
    rng = random.Random(f"{seed}/{number}")
    base = rng.choice(sorted(sound))
    door = rng.choices(list(DOORS), list(DOORS.values()))[0]
    return Input(base, edits(rng, sound[base]), door)


class Trial:
    """A folder in which inputs are tried one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bases = bases()
        (folder / "tmp").mkdir(parents=True)
        tempfile.tempdir = str(folder / "tmp")

    def run(self, base: str, changes: list[Edit], doors: tuple[str, ...] = tuple(DOORS)) -> tuple[str, str | None]:
        """How it ended (``"done"`` or the code of the refusal), and what is wrong with that, or None."""
        ended, wrong = "done", None
        for door in doors:
            ended, wrong = self._enter(base, changes, door)
            if wrong:
                return ended, f"{door}: {wrong}"
        return ended, wrong

    def _enter(self, base: str, changes: list[Edit], door: str) -> tuple[str, str | None]:
        from mlx_quant import QuantError

        files, rest = applied(self.bases[base], changes)
        source, place = tiny.write(self.folder / "source", files), self.folder / "place"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for _, name, how in rest:
            plant(source, name, how)
        tokenizer = any("token" in str(change[1]) for change in changes)
        held, started = _held(), time.monotonic()
        ended, wrong = "done", None
        signal.signal(signal.SIGALRM, _late)
        signal.alarm(SECONDS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._use(source, place / "out", door, tokenizer=tokenizer)
        except QuantError as error:
            ended = error.code
            if not str(error).isprintable():
                wrong = f"a message that commands terminals: {error!r}"
        except BaseException as error:
            ended, wrong = "broken", f"{type(error).__name__}: {str(error)[:300]} {_where(error)}"
        finally:
            signal.alarm(0)
        wrong = wrong or _more(held)
        expected = ["out"] if ended == "done" and door not in ("inspect", "load") else []
        found = sorted(path.name for path in place.iterdir())
        if wrong is None and (found != expected or os.listdir(self.folder / "tmp")):
            wrong = f"left behind: {found} {os.listdir(self.folder / 'tmp')}"
        if wrong is None and time.monotonic() - started > SECONDS:
            wrong = "late"
        return ended, wrong

    def _use(self, source: Path, out: Path, door: str, *, tokenizer: bool) -> None:
        from mlx_quant import Checkpoint, convert, load
        from mlx_quant.cli.inspection import inspect
        from mlx_quant.running.tokenizer import load_tokenizer

        if door == "inspect":
            inspect(source, data=False)
            return
        if door == "load":
            load(source)
            return
        checkpoint = Checkpoint.open(source)
        if tokenizer:
            load_tokenizer(checkpoint.files, None, checkpoint.config.get("eos_token_id"))
        convert(checkpoint, out, target=door, progress=False, durable=False)  # type: ignore[arg-type]


def _held() -> tuple[int, int]:
    """Open descriptors and threads of this process; 0 of what the system does not tell."""
    folders = (Path("/proc/self/fd"), Path("/proc/self/task"))
    return tuple(len(os.listdir(folder)) if folder.exists() else 0 for folder in folders)  # type: ignore[return-value]


def _more(held: tuple[int, int]) -> str | None:
    if _held() > held:
        gc.collect()  # a model holds itself, and so its files
    descriptors, threads = _held()
    if descriptors > held[0]:
        return "a descriptor is left open"
    return "a thread is left behind" if threads > held[1] else None


def _late(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:][::-1])


def imports() -> None:
    """Whatever an input may need, at once: what is imported late would count as left behind, and cost each worker."""
    import mlx_lm.models.llama
    import mlx_lm.models.qwen2
    import mlx_lm.utils  # noqa: F401  (sets a limit of its own on descriptors)
    from transformers import AutoTokenizer  # noqa: F401

    import mlx_quant.cli.inspection
    import mlx_quant.running.tokenizer  # noqa: F401


def settle(trial: Trial) -> None:
    """Every door once with every sound checkpoint, so that pools and caches are there before anything is counted."""
    for base in trial.bases:
        for door in DOORS:
            trial._enter(base, [["flip", "tokenizer_config.json", 0, ord("{")]], door)
