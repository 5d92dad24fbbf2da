"""Temporary checkpoints of killed processes: cleared by the next one, and nothing else with them."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mlx_quant.running.scratch import Scratch, clear_leftovers
from tests.conftest import environment

HOLDER = (
    "from mlx_quant.running.scratch import Scratch\n"
    "held = Scratch()\n"
    "held.converted.mkdir()\n"
    "print(held.converted, flush=True)\n"
    "input()\n"
)


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_scratch_folder_goes_when_it_is_told(temp: Path) -> None:
    scratch = Scratch()
    scratch.converted.mkdir()
    assert [path.parent for path in temp.glob("*/*/model")] == [scratch.converted.parent]
    scratch.cleanup()
    assert not list(temp.iterdir())


def test_the_folder_of_a_killed_process_is_cleared_and_that_of_a_living_one_is_not(temp: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        env=environment(TMPDIR=str(temp)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        ours = Scratch()
        assert theirs.is_dir()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert theirs.is_dir()
        clear_leftovers(temp)
        assert not theirs.parent.exists()
        assert ours.converted.parent.exists()
        ours.cleanup()


@pytest.mark.parametrize(
    "name", ["mlx-quant-load-notes", "mlx-quant-load-abcdefgh/thesis", "mlx-quant-models/model", "load/model"]
)
def test_what_only_looks_like_a_leftover_stays(temp: Path, name: str) -> None:
    (temp / name).mkdir(parents=True)
    clear_leftovers(temp)
    assert (temp / name).is_dir()


def test_a_link_is_not_followed(temp: Path) -> None:
    (temp / "elsewhere" / "model").mkdir(parents=True)
    (temp / "mlx-quant-load-abcdefgh").symlink_to(temp / "elsewhere")
    clear_leftovers(temp)
    assert (temp / "elsewhere" / "model").is_dir()
