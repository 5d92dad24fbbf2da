"""mlx-lm's own commands, run in this process with packed repos accepted."""

from __future__ import annotations

import _thread
import logging
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution
from types import FrameType
from typing import NoReturn

from ..errors import ConversionError, QuantError, printable
from ..running.switch import Terms, switched
from ..running.way import Way
from . import report

_TRUST = "--trust-remote-code"
_ENDED_BY = (signal.SIGTERM, signal.SIGHUP)


class Failed(Exception):
    """A command of mlx-lm ended with an error of its own, which has been shown."""


def on_ending(handler: Callable[[int, FrameType | None], NoReturn]) -> None:
    """Have SIGTERM and SIGHUP handled, but for one that is ignored, as under nohup."""
    for number in _ENDED_BY:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def commands() -> dict[str, EntryPoint]:
    """mlx-lm's commands by the names it gives them, such as ``mlx_lm.server``; none without mlx-lm."""
    try:
        found = distribution("mlx-lm").entry_points.select(group="console_scripts")
    except PackageNotFoundError:
        return {}
    return {point.name: point for point in found if point.name.startswith("mlx_lm.")}


def run(name: str, arguments: list[str], way: Way) -> None:
    """Run a command as its own program would, with ``arguments`` as its command line.

    Code of a packed repo is trusted only if ``--trust-remote-code`` is among them. SIGTERM and SIGHUP end it as Ctrl-C
    does, so that a server stops its threads and nothing temporary stays.

    Args:
        name: a key of :func:`commands`.
        arguments: what follows its name.
        way: how packed repos become models.

    Raises:
        QuantError: what its command line names is refused, also where it loads in another thread, as the server does.
        ConversionError: ``missing-dependency``, a package that this command needs and mlx-lm does not require.
        Failed: any other error.
        SystemExit: with its status, or with 143 or 129 after a signal.
    """
    ending = _Ending(arguments)
    trusted = any(len(argument) > len("--t") and _TRUST.startswith(argument) for argument in arguments)
    before = sys.argv
    sys.argv = [f"mlx-quant run {name}", *arguments]
    try:
        with _notes_shown(), ending.on_signals(), switched(Terms(way, code=trusted, refused=ending.refused)):
            try:
                commands()[name].load()()
            finally:
                sys.stdout.flush()  # while a reader who is gone can still be told from an error at the exit
    except KeyboardInterrupt:
        ending.give_reason()
        raise
    except ModuleNotFoundError as error:
        text = f"{name} needs {error.name}, which mlx-lm does not require: pip install it"
        raise ConversionError("missing-dependency", text, where=name) from error
    except (QuantError, BrokenPipeError):
        raise
    except Exception as error:
        ending.give_reason()
        sys.stderr.write(printable(traceback.format_exc(), keep="\n"))
        raise Failed(f"{name} failed: the above is an error of mlx-lm's, or of what was asked of it") from error
    finally:
        sys.argv = before
    ending.give_reason()


class _Ending:
    """Why a command ends other than by itself."""

    def __init__(self, arguments: list[str]) -> None:
        self._named = {argument.rpartition("=")[2] for argument in arguments}
        self._refusal: QuantError | None = None
        self._signal = 0

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        before = {number: signal.getsignal(number) for number in _ENDED_BY}
        on_ending(self._interrupted)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupted(self, number: int, frame: FrameType | None) -> NoReturn:
        self._signal = number
        raise KeyboardInterrupt

    def refused(self, asked: str, refusal: QuantError) -> None:
        """End the process if what its command line names is refused in another thread: that thread is alone with it.

        What a client of the server names is refused to him, by mlx-lm.
        """
        if threading.current_thread() is threading.main_thread() or asked not in self._named:
            return
        self._refusal = refusal
        _thread.interrupt_main(signal.SIGTERM)
        raise SystemExit  # ends the thread without a traceback

    def give_reason(self) -> None:
        """Raise the refusal that ended it, or SystemExit with the status of a signal."""
        if self._refusal is not None:
            raise self._refusal
        if self._signal:
            raise SystemExit(128 + self._signal)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        report.show_warnings([record.getMessage()], report.console(sys.stderr))


@contextmanager
def _notes_shown() -> Iterator[None]:
    """What is to be known of loaded models, on stderr and not in the command's own log as well."""
    log, handler = logging.getLogger("mlx_quant"), _Notes()
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.level, log.propagate = before
