"""What other loaders make of the same bent checkpoints: the fuzzer's inputs by their numbers, and some bent on purpose.

    python tests/safety/others.py --loader mlx-lm [--count 100000] [--seed 0] [--jobs 2] [--seconds 540] [--json FILE]
    python tests/safety/others.py --loader mlx-lm --number 2041 --verbose   # one again, or a pointed one by its name
    python tests/safety/others.py --publish FILE...                         # docs/untrusted-input.md and its numbers

Nobody promised a typed refusal here, so any exception is one. What counts is in ``COUNTED``. Each loader is asked as
its documentation says, with its own defaults, and only of checkpoints that it loads when they are not bent. What was
tried is written to the JSON file all the while, and the same command goes on where it was stopped. Linux.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from mlx_quant.version import __version__
from tests.safety import tiny
from tests.safety.bending import Edit, applied, plant
from tests.safety.damage import ABSENT, damage
from tests.safety.fuzz import MEMORY, Campaign
from tests.safety.pointed import CANARY, POINTED
from tests.safety.results import Results
from tests.safety.trial import SECONDS, Bases, bases, numbered
from tests.safety.witness import Obliging, Watch, listed, memory

# Of the pointed inputs; the last has the number -1.
NAMES = list(POINTED)
# What counts against a loader, by the word that findings have for it.
RAN, ASKED, LATE, LARGE = "ran code of the repo", "took an answer from standard input", "late", "memory"
OUTSIDE, LEFT, SILENT, DIED = "opened a file outside", "left something", "loaded what is damaged", "died"
COUNTED = {
    RAN: f"{RAN}: a canary sang",
    ASKED: f"{ASKED}, which said yes",
    DIED: "the process died: a signal, or an abort",
    LATE: f"was not done after {SECONDS} s",
    LARGE: f"wanted more than {MEMORY >> 30} GiB",
    OUTSIDE: f"{OUTSIDE} the folder, by a link or a path",
    LEFT: f"{LEFT} behind: a file outside the folder, or a changed one in it",
    SILENT: f"{SILENT} beyond dispute, without a word",
}
_NO_MEMORY = ("Unable to allocate", "bad_alloc", "not enough memory", "Cannot allocate memory", "memory allocation")


class Loader(NamedTuple):
    """Somebody's loader.

    Attributes:
        told: its name and what is called, for the tables.
        use: loads a folder.
        native: whether it is given MLX's own forms, and not the fuzzer's packed checkpoints.
        takes: the bases that it loads when they are not bent.
        reads: what it is asked about: see Pointed.about.
        packages: whose versions matter.
        objection: what its maintainers could say to the row.
    """

    told: str
    use: Callable[[str], object]
    native: bool
    takes: tuple[str, ...]
    reads: frozenset[str]
    packages: tuple[str, ...]
    objection: str


def _mlx_lm(folder: str) -> object:
    import mlx_lm

    return mlx_lm.load(folder)


def _transformers(folder: str) -> object:
    from transformers import AutoConfig, AutoTokenizer

    return AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def _safe_open(folder: str) -> object:
    from safetensors import safe_open

    found = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(file, framework="pt") as shard:
            found |= {name: shard.get_tensor(name) for name in shard.keys()}
    return found


def _mlx_quant(folder: str) -> object:
    import mlx_quant

    return mlx_quant.load(folder)


_EVERY = tuple(sorted(tiny.QUANTIZATION))
_MODEL = frozenset({"config", "tokenizer", "weights", "tensors"})
_LINKS = (
    "a snapshot in the Hub's cache is a folder of links, so links have to be followed, and nobody promised to look "
    "where they lead"
)
_PIPES = "a pipe never comes from the Hub, and whoever waits can interrupt"
_ASKS = "asking is consent: a terminal shows the question, and with `trust_remote_code=False`{} nobody is asked"
LOADERS: dict[str, Loader] = {
    "mlx-quant": Loader(
        "mlx_quant: `mlx_quant.load`",
        _mlx_quant,
        False,
        _EVERY,
        _MODEL | {"zeros"},
        ("mlx-lm", "mlx", "transformers", "tokenizers", "safetensors"),
        "the inputs were made by us and have been run against this loader before, so it had the time to be mended",
    ),
    "mlx-lm": Loader(
        "mlx-lm: `mlx_lm.load` of float16 and MLX's affine form",
        _mlx_lm,
        True,
        ("affine", "plain"),
        _MODEL,
        ("mlx-lm", "mlx", "transformers", "tokenizers", "safetensors"),
        f"{_LINKS}; {_PIPES}; {_ASKS.format(' in `tokenizer_config`')}",
    ),
    "mlx-lm-awq": Loader(
        "mlx-lm: `mlx_lm.load` of AWQ",
        _mlx_lm,
        False,
        ("awq",),
        _MODEL | {"zeros"},
        ("mlx-lm", "mlx", "transformers", "tokenizers", "safetensors"),
        f"{_LINKS}; {_PIPES}; without `qzeros` AWQ is taken for symmetric; {_ASKS.format(' in `tokenizer_config`')}",
    ),
    "transformers": Loader(
        "transformers: `AutoConfig` and `AutoTokenizer`",
        _transformers,
        False,
        _EVERY,
        frozenset({"config", "tokenizer"}),
        ("transformers", "tokenizers", "huggingface-hub"),
        f"{_LINKS}; {_ASKS.format('')}",
    ),
    "safe-open": Loader(
        "safetensors: `safe_open` of every shard",
        _safe_open,
        False,
        _EVERY,
        frozenset({"weights"}),
        ("safetensors", "torch"),
        f"{_LINKS}; {_PIPES}; it cannot know which tensors there must be, and is not asked",
    ),
}


def sound_bases(loader: Loader) -> Bases:
    """What is bent for it: the fuzzer's own, or MLX's forms."""
    return _made(loader.native)


@cache
def _made(native: bool) -> Bases:
    return {name: tiny.files(name) for name in tiny.NATIVE} if native else bases()


class Late(BaseException):
    """Not an Exception, which a loader may take for a fault of a file."""


class Asked(NamedTuple):
    """What became of one input.

    Attributes:
        ended: ``"loads"``, ``"refuses"`` or ``"not asked"``; with ``", damaged"``.
        wrong: what counts against the loader, or None.
        about: edits, damage, and what was raised, for people.
    """

    ended: str
    wrong: str | None
    about: list[str]


class Examiner:
    """A folder in which one loader is asked, input by input."""

    def __init__(self, loader: Loader, folder: Path) -> None:
        self.loader = loader
        self.source, self.outside = folder / "source", folder / "outside"
        self._canary, self._temporary, self._home = folder / CANARY, folder / "tmp", folder / "home"
        for path in (self.outside, self._temporary, self._home):
            path.mkdir(parents=True)
        tempfile.tempdir = str(self._temporary)
        # Read as huggingface_hub is imported.
        os.environ |= {"HF_HOME": str(self._home), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        self.bases = sound_bases(loader)
        for base in loader.takes:
            found = self._ask(self.bases[base], [])
            if found.ended != "loads" or found.wrong:
                raise RuntimeError(f"a sound {base} is not loaded: {found}")

    def limit(self) -> None:
        """Memory from here on; what is imported by now does not count."""
        most = memory() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    def ask(self, seed: int, number: int) -> Asked:
        """An input of the fuzzer, or with a number below zero one of ``POINTED``."""
        if number < 0:
            pointed = POINTED[NAMES[number]]
            if pointed.about not in self.loader.reads:
                return Asked("not asked", None, [])
            return self._ask(self.bases[self.loader.takes[0]], [], NAMES[number])
        base, edits, _ = numbered(seed, number, self.bases)
        if base not in self.loader.takes:
            return Asked("not asked", None, [])
        return self._ask(self.bases[base], edits, told=[f"base {base}", f"edits {edits}"])

    def _ask(self, sound: dict[str, bytes], edits: list[Edit], name: str = "", told: Sequence[str] = ()) -> Asked:
        files, rest = applied(sound, edits)
        shutil.rmtree(self.outside, ignore_errors=True)
        self.outside.mkdir()
        tiny.write(self.source, files)
        (self.outside / "file").write_text("{}")
        for _, file, how in rest:
            plant(self.source, file, how, self.outside / "file")
        hurt = damage(sound, files, edits)
        if name:
            POINTED[name].apply(self.source, self.outside)
            hurt = POINTED[name].told if POINTED[name].is_damaged else None
        if not self._answers_for(hurt):
            hurt = None
        before = listed(self.source, self._temporary, self._home)
        with Watch(self.outside) as outside:
            raised, wrong, asked, seconds = self._loaded()
            is_touched = outside.touched()
        complaints = [wrong] if wrong else []
        complaints += [RAN] if self._canary.exists() else []
        complaints += [ASKED] if asked else []
        complaints += [OUTSIDE] if is_touched else []
        complaints += [LEFT] if listed(self.source, self._temporary, self._home) != before else []
        complaints += [LATE] if seconds > SECONDS and wrong != LATE else []
        complaints += [SILENT] if hurt and not raised else []
        self._clean()
        ended = ("refuses" if raised else "loads") + (", damaged" if hurt else "")
        return Asked(ended, "; ".join(complaints) or None, [*told, f"damage {hurt}", raised or "loaded"])

    def _answers_for(self, hurt: str | None) -> bool:
        if hurt == ABSENT:
            return "tensors" in self.loader.reads
        return hurt is not None and "weights" in self.loader.reads

    def _loaded(self) -> tuple[str | None, str | None, bool, float]:
        """What was raised, what is wrong with that, whether standard input was asked, and seconds."""
        raised, wrong, model, started = None, None, None, time.monotonic()
        with Obliging() as standard_input, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            signal.signal(signal.SIGALRM, _late)
            signal.alarm(SECONDS)
            try:
                try:
                    model = self.loader.use(str(self.source))
                except (Late, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    raised = "".join(traceback.format_exception(error)[-6:])
                    if isinstance(error, MemoryError) or any(text in str(error) for text in _NO_MEMORY):
                        wrong = LARGE
            except Late:  # also while the exception of a call that was interrupted is told
                raised, wrong = "stopped", LATE
            finally:
                signal.alarm(0)
            seconds = time.monotonic() - started
            asked = standard_input.asked
        del model
        gc.collect()
        return raised, wrong, asked, seconds

    def _clean(self) -> None:
        for path in (self._temporary, self._home):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
        if self._canary.is_dir():
            self._canary.rmdir()
        self._canary.unlink(missing_ok=True)


def _late(*_: object) -> None:
    raise Late


def work(name: str, seed: int, folder: str, pipe: Connection) -> None:
    """One worker: see ``fuzz.work``."""
    with open(os.devnull, "w") as nowhere:  # questions, bars and warnings
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    examiner = Examiner(LOADERS[name], Path(folder))
    examiner.limit()
    pipe.send(("ready", 0, "", None))
    while share := pipe.recv():
        for number in range(*share):
            pipe.send(("try", number, "", None))
            ended, wrong, _ = examiner.ask(seed, number)
            pipe.send(("end", number, ended, wrong))
        pipe.send(("ready", 0, "", None))


class Row(Results):
    """What one loader did, and with which versions of what."""

    def __init__(self, file: Path, name: str, seed: int, count: int) -> None:
        self.name = name
        self.pointed: dict[str, list[str | None]] = {}
        super().__init__(file, seed, 0, count)
        self.about = {"loader": name, "versions": versions(name), "pointed": self.pointed}

    def _read(self, stored: dict[str, Any]) -> None:
        super()._read(stored)
        if (stored["loader"], stored["versions"]) != (self.name, versions(self.name)):
            raise SystemExit(f"{self.file} is of {stored['versions']}; name another file with --json")
        self.pointed.update(stored["pointed"])

    def add(self, number: int, ended: str, wrong: str | None) -> None:
        if number >= 0:
            super().add(number, ended, wrong)
        else:
            self.tried.add(number)
            self.pointed[NAMES[number]] = [ended, wrong]

    def want(self, numbers: range) -> None:
        self.wanted = numbers


def versions(name: str) -> dict[str, str]:
    own = {package: version(package) for package in LOADERS[name].packages}
    ours = {"mlx_quant": __version__} if name == "mlx-quant" else {}
    return {"python": platform.python_version(), **ours, **own}


def replay(name: str, seed: int, number: int, folder: Path, verbose: bool) -> int:
    examiner = Examiner(LOADERS[name], folder)
    examiner.limit()
    ended, wrong, about = examiner.ask(seed, number)
    if number < 0:
        print(POINTED[NAMES[number]].told)
    if verbose:
        print(*about, sep="\n")
    print(f"{ended}: {wrong}" if wrong else ended)
    return 1 if wrong else 0


def _number(text: str) -> int:
    return NAMES.index(text) - len(NAMES) if text in NAMES else int(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loader", choices=sorted(LOADERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100_000, help="how many numbers of the fuzzer")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long, whatever the count")
    parser.add_argument("--json", type=Path, help="results; gone on with where it exists")
    parser.add_argument("--number", type=_number, help="one input, here and now; or the name of a pointed one")
    parser.add_argument("--verbose", action="store_true", help="with --number: its edits, and what was raised")
    parser.add_argument("--publish", type=Path, nargs="+", help="write the page from these results")
    arguments = parser.parse_args()
    if arguments.publish:
        from tests.safety.untrusted import publish

        return publish(arguments.publish)
    if not arguments.loader:
        parser.error("name a --loader")
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="others-", dir=shared if os.access(shared, os.W_OK) else None) as folder:
        place = Path(os.path.realpath(folder))
        if arguments.number is not None:
            return replay(arguments.loader, arguments.seed, arguments.number, place, arguments.verbose)
        file = arguments.json or Path(f"others-{arguments.loader}.json")
        row = Row(file, arguments.loader, arguments.seed, arguments.count)
        for part, numbers in enumerate((range(-len(NAMES), 0), range(arguments.count))):
            row.want(numbers)
            campaign = Campaign(row, arguments.jobs, arguments.seconds, partial(work, arguments.loader))
            campaign.run(place / str(part))
            row.before += time.monotonic() - campaign.started
    print(*(f"{count:8d} {ended}" for ended, count in row.endings.most_common()), sep="\n")
    print(*(f"{len(numbers):8d} {text}: {numbers[:5]}" for text, numbers in row.findings.items()), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
