"""How the command ends when the program is at fault, nobody reads, or the terminal goes: real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import customised, environment, slowed
from tests.safety import tiny

Process = subprocess.Popen[str]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("exits") / "source", tiny.files("gptq"))


def started(
    *arguments: str | Path, path: Path | None = None, stdout: int = subprocess.PIPE, ignoring: int = 0
) -> Process:
    """The command; ``path`` holds a sitecustomize, ``ignoring`` a signal that it inherits as ignored."""
    command = [sys.executable, "-m", "mlx_quant.cli", *map(str, arguments)]
    # Under nohup these tests ignore SIGHUP, and so would the command.
    inherited = {signal.SIGHUP.value: signal.SIG_DFL} | ({ignoring: signal.SIG_IGN} if ignoring else {})
    before = {number: signal.signal(number, handler) for number, handler in inherited.items()}
    try:
        return subprocess.Popen(
            command,
            env=environment(*([path] if path else [])),
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            restore_signals=not ignoring,
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("command", ["inspect", "convert", "generate"])
def test_a_fault_of_the_program_is_told_from_a_refusal(command: str, source: Path, tmp_path: Path) -> None:
    """Its traceback is shown, and what a name in it would command a terminal to do is not done."""
    path = customised(
        tmp_path,
        "from mlx_quant.checkpoint import checkpoint",
        "def open(*_, **__):",
        "    raise AttributeError('\\x1b[2J no such thing')",
        "checkpoint.Checkpoint.__init__ = open",
    )
    more = {"inspect": [], "convert": [tmp_path / "out"], "generate": ["--prompt", "x"]}[command]
    process = started(command, source, *more, path=path)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 70, stderr
    assert "Traceback" in stderr
    assert "AttributeError: \\x1b[2J no such thing" in stderr
    assert "please report" in stderr
    assert "\x1b" not in stdout + stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options", [["formats"], ["formats", "--json"], ["inspect"], ["inspect", "--json"], ["--version"]]
)
def test_nobody_reads(options: list[str], source: Path) -> None:
    """As under ``| head``: no complaint, and the status that a shell gives for it."""
    reader, writer = os.pipe()
    os.close(reader)
    process = started(*options, *([source] if options[0] == "inspect" else []), stdout=writer)
    os.close(writer)
    _, stderr = process.communicate(timeout=120)
    assert (process.returncode, stderr) == (128 + signal.SIGPIPE, "")


def test_a_conversion_that_nobody_hears_of_is_done(source: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = started("convert", source, tmp_path / "out", stdout=writer)
    os.close(writer)
    process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGPIPE
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_thread_in_the_middle_of_mlx_does_not_abort_the_end(source: Path, tmp_path: Path) -> None:
    """As one of a server may be: Python ends such threads, and MLX does not take it."""
    path = customised(
        tmp_path,
        "import os, signal, threading, time",
        "import mlx.core as mx",
        "from mlx_quant.checkpoint import checkpoint",
        "def work():",
        "    while True:",
        "        mx.eval(mx.ones((64, 64)) @ mx.ones((64, 64)))",
        "def open(*_, **__):",
        "    threading.Thread(target=work, daemon=True).start()",
        "    time.sleep(0.3)",
        "    os.kill(os.getpid(), signal.SIGTERM)",
        "checkpoint.Checkpoint.__init__ = open",
    )
    process = started("inspect", source, path=path)
    _, stderr = process.communicate(timeout=120)
    assert (process.returncode, stderr) == (143, "")


@pytest.mark.parametrize(
    ("sent", "status", "is_ignored"),
    [
        (signal.SIGHUP, 129, False),
        (signal.SIGHUP, 129, True),
        pytest.param(signal.SIGTERM, 143, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, True, marks=pytest.mark.slow),
    ],
)
def test_the_terminal_goes(sent: signal.Signals, status: int, is_ignored: bool, source: Path, tmp_path: Path) -> None:
    """In the middle of a conversion; one that was started by ``nohup`` goes on."""
    path = tmp_path / "path"
    path.mkdir()
    slowed(path, 0.3)
    place = tmp_path / "place"
    place.mkdir()
    process = started("convert", source, place / "out", path=path, ignoring=sent if is_ignored else 0)
    deadline = time.monotonic() + 60
    while not list(place.glob(".out.partial-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == (0 if is_ignored else status), stderr
    assert "Traceback" not in stderr
    assert [found.name for found in place.iterdir()] == (["out"] if is_ignored else [])
