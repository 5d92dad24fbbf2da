"""Subjects in any language: a program that answers newline-delimited JSON, with tensors in safetensors files.

The protocol is docs/protocol.md. The program is told what to decode and where to put it: never which case it is, and
never what is expected.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..bits.array import Array
from ..bits.safetensors_file import read_safetensors, write_safetensors
from .probe import Module, Observed
from .watchdog import Watchdog

PROTOCOL = 1
TIMEOUT = "MLX_QUANT_COMMAND_TIMEOUT"
FAILED_STARTS = 3
# An answer is a few names and numbers; what is longer is no answer but a flood.
LONGEST_ANSWER = 1 << 20
SECONDS_TO_STOP = 2.0
_ABLE = ("decodes", "loads", "repacks", "opens", "probes")
_NOT_INFO = ("protocol", "name", *_ABLE)


class CommandError(Exception):
    """There is no such program, or it does not speak the protocol."""


class CommandCrashed(Exception):
    """The program failed at one question: it died, was silent too long, said so, or gave what is no answer."""

    def __repr__(self) -> str:
        return str(self)


class CommandRefused(Exception):
    """The program says that it does not read this. ``code`` exists only if the program gave one."""

    code: str

    def __init__(self, why: str, code: str | None = None) -> None:
        super().__init__(f"{why} [{code}]" if code else why)
        if code is not None:
            self.code = code

    def __repr__(self) -> str:
        return str(self)


class Program:
    """A program that is running, or will be started again by the next question because it crashed."""

    def __init__(self, command: str) -> None:
        """CommandError if ``command`` names no program that can be run."""
        try:
            words = shlex.split(command)
            self._limit = float(os.environ.get(TIMEOUT) or 120)
        except ValueError as error:
            raise CommandError(f"{command!r} or {TIMEOUT} makes no sense: {error}") from error
        found = shutil.which(words[0]) if words else None
        if found is None:
            raise CommandError(f"{command!r} names no executable program")
        if not 0 < self._limit <= threading.TIMEOUT_MAX:
            raise CommandError(f"{TIMEOUT} must be a number of seconds, not {self._limit}")
        # Whoever changes the directory later must not change which program is started again.
        self._words, self._directory = [os.path.abspath(found), *words[1:]], os.getcwd()
        self._process: subprocess.Popen[bytes] | None = None
        self._seq = self._failed = self._heard = 0
        self._asked = 0
        self._watchdog = Watchdog()
        # One question at a time, whoever asks: the pipe has room for no more.
        self._asking = threading.RLock()
        self._folder = Path(tempfile.mkdtemp(prefix="mlx-quant-command-"))
        self._files = self._folder / "files"
        self._files.mkdir()

    def start(self) -> dict[str, Any]:
        """A new process, and what it says of itself."""
        self._seq = self._heard = 0
        try:
            with (self._folder / "stderr").open("wb") as errors:
                # A session of its own, so that whatever the program itself starts can be ended with it.
                self._process = subprocess.Popen(
                    self._words,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd=self._directory,
                    start_new_session=True,
                )
            facts = self._exchange({"protocol": PROTOCOL, "do": "info"})
            if fault := _fault(facts):
                self._crash(f"does not say what protocol {PROTOCOL} asks: {fault}")
        except (OSError, CommandCrashed, CommandRefused) as error:
            if self._process is not None:
                self._end()
            raise CommandCrashed(f"cannot be started: {error}") from error
        return facts

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The ``ok`` of the answer."""
        if self._process is None:
            if self._failed == FAILED_STARTS:
                raise CommandError(f"failed to start {FAILED_STARTS} times in a row, and is not asked any more")
            self._failed += 1
            self.start()
            self._failed = 0
        # What it complained of before this question says nothing about this one.
        self._heard = (self._folder / "stderr").stat().st_size
        return self._exchange(request)

    def ask_for_tensors(
        self, request: dict[str, Any], tensors: Mapping[str, Array] | None = None
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """The ``ok`` of the answer, and the tensors it wrote."""
        with self._asking:
            return self._ask_for_tensors(request, tensors)

    def _ask_for_tensors(
        self, request: dict[str, Any], tensors: Mapping[str, Array] | None
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        # Names of its own for each question: what is left over from the last must not count as an answer to this one.
        self._asked += 1
        given, output = (self._files / f"{name}-{self._asked}.safetensors" for name in ("in", "out"))
        try:
            if tensors is not None:
                given.write_bytes(write_safetensors(tensors))
                request = request | {"tensors": str(given)}
            facts = self.ask(request | {"output": str(output)})
            try:
                return facts, read_safetensors(output.read_bytes())
            except Exception as error:  # safetensors' own error is a bare Exception
                raise CommandCrashed(f"answered ok, but its output cannot be read: {error!r}") from error
        finally:
            for file in (given, output):
                file.unlink(missing_ok=True)

    def dequantize(
        self, quantization_config: dict[str, Any], tensors: dict[str, Array], *, dtype: str | None = None
    ) -> Array:
        request = {"do": "dequantize", "config": quantization_config, "dtype": dtype}
        _, answer = self.ask_for_tensors(request, tensors)
        if "weight" not in answer:
            raise CommandCrashed(f"answered ok, but wrote no weight: {', '.join(answer) or 'nothing'}")
        return answer["weight"]

    def load(self, checkpoint_dir: str | Path) -> dict[str, Array] | Callable[[Array], Array]:
        """The weights by name; or a model to call, for token ids [1, T] to logits [1, T, vocabulary]."""
        # What it leaves behind is looked for where we would leave it.
        around = {"scratch": tempfile.gettempdir(), "home": str(Path.home()), "directory": os.getcwd()}
        request = {"do": "load", "checkpoint": str(Path(checkpoint_dir).absolute())} | around
        facts, weights = self.ask_for_tensors(request)
        return self._run if facts.get("model") is True else weights

    def _run(self, tokens: Array) -> Array:
        _, answer = self.ask_for_tensors({"do": "run"}, {"tokens": tokens})
        if "logits" not in answer:
            raise CommandCrashed(f"answered ok, but wrote no logits: {', '.join(answer) or 'nothing'}")
        return answer["logits"]

    def open(self, checkpoint_dir: str | Path) -> Mapping[str, Array]:
        """The packed modules of a checkpoint, each decoded when it is asked for."""
        facts = self.ask({"do": "open", "checkpoint": str(Path(checkpoint_dir).absolute())})
        return _Opened(self, [str(name) for name in facts["names"]])

    def probe(self, kind: str, modules: Sequence[Module]) -> Observed:
        """As :func:`~.probe.probe`, in the process of the subject."""
        configs = [dict(config) for config, _ in modules]
        given = {f"{number}/{name}": array for number, (_, own) in enumerate(modules) for name, array in own.items()}
        facts, answers = self.ask_for_tensors({"do": "probe", "kind": kind, "configs": configs}, given)
        return [answers[str(number)] for number in range(len(answers))], list(facts["complaints"])

    def to_affine(self, quantization_config: dict[str, Any], tensors: dict[str, Array]) -> dict[str, Any]:
        facts, answer = self.ask_for_tensors({"do": "to_affine", "config": quantization_config}, tensors)
        numbers = {name: facts.get(name) for name in ("group_size", "bits")}
        missing = [name for name in ("weight", "scales", "biases") if name not in answer]
        missing += [name for name, number in numbers.items() if type(number) is not int]
        if missing:
            raise CommandCrashed(f"answered ok without {', '.join(missing)}")
        return {"permutation": None} | answer | numbers

    def close(self) -> None:
        """End the program, asking first, and remove its files."""
        if self._process is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self._send({"seq": self._seq, "do": "stop"})
                self._process.communicate(timeout=SECONDS_TO_STOP)
            self._end()
        self._watchdog.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _send(self, request: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request, allow_nan=False).encode() + b"\n")
        self._process.stdin.flush()

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        process, seq = self._process, self._seq
        assert process is not None
        assert process.stdout is not None
        silent = threading.Event()

        def give_up() -> None:
            silent.set()
            _kill(process)

        try:
            # Ending the process ends the wait, whether it is for the program to read or to write.
            with self._watchdog.over(give_up, self._limit):
                self._send({"seq": seq} | request)
                line = process.stdout.readline(LONGEST_ANSWER)
        except OSError:
            line = b""
        except BaseException:
            # Interrupted between question and answer: what it says next would answer nothing.
            self._end()
            raise
        if silent.is_set():
            self._crash(f"was silent for {self._limit:g} s")
        if not line:
            self._crash("died")
        self._seq += 1
        return self._understood(line, seq)

    def _understood(self, line: bytes, seq: int) -> dict[str, Any]:
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or not line.endswith(b"\n"):
            self._crash(f"said what is no JSON object on a line: {_shown(line)}")
        if type(answer.get("seq")) is not int or answer["seq"] != seq:
            self._crash(f"did not answer question {seq}: {_shown(line)}")
        match {key: answer[key] for key in ("ok", "refused", "error", "code") if answer.get(key) is not None}:
            case {"ok": dict(facts), **rest} if not rest:
                return facts
            case {"refused": str(why), "code": str(code), **rest} if not rest:
                raise CommandRefused(why, code)
            case {"refused": str(why), **rest} if not rest:
                raise CommandRefused(why)
            case {"error": str(why), **rest} if not rest:
                raise CommandCrashed(f"says that it failed: {why}")
        self._crash(f"said what is no answer: {_shown(line)}")

    def _crash(self, what: str) -> NoReturn:
        status = self._end(SECONDS_TO_STOP if what == "died" else 0)
        what += "" if status in (0, -signal.SIGKILL) else f" (status {status})"
        said = (self._folder / "stderr").read_bytes()[self._heard :]
        tail = said[-2000:].decode(errors="replace").strip()
        raise CommandCrashed(f"{self._words[0]} {what}" + (f"; its stderr ends with:\n{tail}" if tail else ""))

    def _end(self, patience: float = 0) -> int:
        process, self._process = self._process, None
        assert process is not None
        # One that has closed its output is about to end, and its own status says more than that of being killed.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        _kill(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return process.wait()


class _Opened(Mapping[str, Array]):
    def __init__(self, program: Program, names: list[str]) -> None:
        self._program, self._names = program, names

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        return self._program.ask_for_tensors({"do": "item", "name": name})[1]["weight"]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class CommandSubject:
    """``command``, split as a shell would, as a subject; the program is resolved from the current directory."""

    framework = "array"
    refusals = (CommandRefused,)
    dequantize: Callable[..., Array]
    load: Callable[[str | Path], dict[str, Array] | Callable[[Array], Array]]
    open: Callable[[str | Path], Mapping[str, Array]]
    to_affine: Callable[[dict[str, Any], dict[str, Array]], dict[str, Any]]
    probe: Callable[[str, Sequence[Module]], Observed]

    def __init__(self, command: str) -> None:
        self._program = Program(command)
        # It refers to the program alone, so that it runs when the subject is let go, and at the latest at exit.
        self.close = weakref.finalize(self, self._program.close)
        try:
            facts = self._program.start()
        except CommandCrashed as error:
            self.close()
            raise CommandError(str(error)) from error
        self.name: str = facts["name"]
        self._info = {key: value for key, value in facts.items() if key not in _NOT_INFO}
        # What the program does not do, its subject does not have.
        if facts.get("decodes", True):
            self.dequantize = self._program.dequantize
        if facts.get("loads"):
            self.load = self._program.load
        if facts.get("repacks", bool(facts.get("affine"))):
            self.to_affine = self._program.to_affine
        if facts.get("opens"):
            self.open = self._program.open
        if facts.get("probes"):
            self.probe = self._program.probe

    def info(self) -> dict[str, Any]:
        return dict(self._info)


def _fault(facts: dict[str, Any]) -> str:
    """What is wrong with an answer to ``info``, if anything."""
    if facts.get("protocol") != PROTOCOL:
        return f"protocol is {facts.get('protocol')!r}"
    wrong = [key for key in ("name", "version") if not isinstance(facts.get(key), str)]
    for key in ("formats", "excludes"):
        listed = facts.get(key, [] if key == "excludes" else None)
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            wrong.append(key)
    kinds = dict.fromkeys(_ABLE, bool) | {"affine": dict}
    wrong += [key for key, kind in kinds.items() if key in facts and not isinstance(facts[key], kind)]
    return f"not as they should be: {', '.join(wrong)}" if wrong else ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _shown(line: bytes) -> str:
    text = line[:200].decode(errors="replace").rstrip("\n")
    return repr(text) + ("..." if len(line) > 200 else "")
