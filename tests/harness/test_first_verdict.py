"""The example of docs/first-verdict.md does what the page says, with its mistake and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conformance.cli.main import app

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/first_verdict/my_subject.py"
PAGE = ROOT / "docs/first-verdict.md"
SHOWN = "synthetic/gptq-g32-no-g_idx-sym-float16"
ASKED = ("--only=vectors/gptq-*", "--only=layouts/gptq-*", "--only=state/gptq-*", f"--only={SHOWN}")
ASKED += ("--require=sound", "--subject=py:my_subject:SUBJECT")


def test_the_mistake_is_its_first_cause() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "conformance.cli", "run", *ASKED],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{EXAMPLE.parent}", "COLUMNS": "120"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1, ended.stderr
    first = next(line for line in ended.stdout.splitlines() if line.startswith("SILENTLY WRONG"))
    assert "zero points are off by one" in first
    assert SHOWN in ended.stdout
    assert SHOWN in PAGE.read_text()


def test_without_it_the_loader_reads_what_is_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = EXAMPLE.read_text()
    mended = text.replace("zeros[group].astype", "(zeros[group] + 1).astype")
    assert mended != text
    (tmp_path / "my_subject.py").write_text(mended)
    monkeypatch.syspath_prepend(str(tmp_path))
    ended = CliRunner().invoke(app, ["run", *ASKED])
    assert ended.exit_code == 0, ended.stdout
    assert "conforms to what is required (sound)" in ended.stdout
