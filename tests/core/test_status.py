"""Refused, candidate, enabled: who says so, what evidence it takes, and that no door decodes a candidate unasked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from typer.testing import CliRunner

import mlx_quant
from mlx_quant import Checkpoint, UnsupportedFormat, convert, dequantize, formats, load, to_affine, to_native
from mlx_quant.cli.inspection import inspect
from mlx_quant.cli.main import app
from mlx_quant.packings import gptq, status
from mlx_quant.subject import SUBJECT
from tests.conftest import stored
from tests.core.plain_gptq import config, random_module

WHOLE: dict[str, Any] = {
    "format": "gptq",
    "suite": "2026.2",
    "complete": True,
    "missing": [],
    "levels": {"vectors": {"cases": 40, "weights": 5000}, "arithmetic": {"cases": 2, "weights": 1_000_000}},
    "upstream": ["auto-gptq 0.7.1", "gptqmodel 7.7.0"],
    "mutants": {"asked": 30, "caught": 29},
}
SOURCE = "llama-gptq-g128-seq-asym"


def write(folder: Path, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "gptq.json").write_text(json.dumps(WHOLE | changes))
    return folder


def test_whole_evidence_enables_and_is_told(tmp_path: Path) -> None:
    found = status.status_of(gptq, write(tmp_path), required=True)
    assert found.status == "enabled"
    assert found.evidence is not None
    text = str(found.evidence)
    for said in ("2026.2", "42 cases", "1,005,000 weights", "29 of 30 mutants", "auto-gptq 0.7.1, gptqmodel 7.7.0"):
        assert said in text
    assert "incomplete" not in text


@pytest.mark.parametrize("complete", [False, None, "yes"])
def test_evidence_that_is_not_complete_makes_a_candidate(tmp_path: Path, complete: Any) -> None:
    found = status.status_of(gptq, write(tmp_path, complete=complete, missing=["mutants"]), required=True)
    assert found.status == "candidate"
    assert "incomplete" in found.reason
    assert "incomplete: mutants" in str(found.evidence)


def test_no_evidence_makes_a_candidate_if_it_is_required(tmp_path: Path) -> None:
    found = status.status_of(gptq, tmp_path, required=True)
    assert (found.status, found.evidence) == ("candidate", None)
    assert "no evidence" in found.reason
    assert status.status_of(gptq, tmp_path, required=False).status == "enabled"


@pytest.mark.parametrize("declared", ["candidate", "refused"])
def test_evidence_enables_nothing_that_its_author_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: str
) -> None:
    monkeypatch.setattr(gptq, "STATUS", declared)
    assert status.status_of(gptq, write(tmp_path), required=True).status == declared


@pytest.mark.parametrize(
    "content", ["{}", "[]", json.dumps(WHOLE | {"format": "awq_gemm"}), json.dumps(WHOLE | {"levels": {"a": {}}}), "{"]
)
def test_a_file_that_is_no_evidence_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "gptq.json").write_text(content)
    with pytest.raises(ValueError):  # noqa: PT011
        status.read_evidence("gptq", tmp_path)


def test_what_the_package_holds_is_evidence_of_its_packings() -> None:
    assert {file.stem for file in status.FOLDER.glob("*")} <= set(mlx_quant.packings.registry.PACKINGS)
    for name, found in formats().items():
        assert found.evidence == status.read_evidence(name)


CONFIG, MODULE = config(4, 32), random_module(np.random.default_rng(5), 4, 16, 64, 32)
DOORS: dict[str, Callable[..., Any]] = {
    "dequantize": lambda tmp, **asked: dequantize(CONFIG, MODULE.tensors(), **asked),
    "to_affine": lambda tmp, **asked: to_affine(CONFIG, MODULE.tensors(), **asked),
    "to_native": lambda tmp, **asked: to_native(CONFIG, MODULE.tensors(), **asked),
    "open": lambda tmp, **asked: Checkpoint.open(stored(SOURCE), **asked).dequantize("model.layers.0.mlp.up_proj"),
    "convert": lambda tmp, **asked: convert(stored(SOURCE), tmp / "out", progress=False, **asked),
    "load": lambda tmp, **asked: load(stored(SOURCE), **asked),
    "inspect": lambda tmp, **asked: inspect(stored(SOURCE), **asked),
}


@pytest.fixture(params=["declared", "unproven"])
def candidate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GPTQ is a candidate: by its author's word, or for want of evidence."""
    if request.param == "declared":
        monkeypatch.setattr(gptq, "STATUS", "candidate")
    else:
        (tmp_path / "none").mkdir()
        monkeypatch.setattr(status, "FOLDER", tmp_path / "none")
        monkeypatch.setattr(status, "EVIDENCE_REQUIRED", True)


@pytest.mark.usefixtures("candidate")
@pytest.mark.parametrize("door", sorted(DOORS))
def test_a_candidate_is_decoded_only_when_asked(door: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        DOORS[door](tmp_path)
    assert caught.value.code == "candidate-format"
    assert "candidates=True" in str(caught.value)
    assert "--candidates" in str(caught.value)
    assert not (tmp_path / "out").exists()
    DOORS[door](tmp_path, candidates=True)


@pytest.mark.usefixtures("candidate")
def test_a_candidate_on_the_command_line(tmp_path: Path) -> None:
    convert_ = ["convert", str(stored(SOURCE)), str(tmp_path / "out"), "--json"]
    for command in (["inspect", str(stored(SOURCE)), "--json"], convert_):
        refused = CliRunner().invoke(app, command)
        assert (refused.exit_code, json.loads(refused.stdout)["error"]["code"]) == (1, "candidate-format")
        assert CliRunner().invoke(app, [*command, "--candidates"]).exit_code == 0
    generate = ["generate", str(stored(SOURCE)), "--prompt", "A weight", "-m", "2"]
    assert CliRunner().invoke(app, generate).exit_code == 1
    assert CliRunner().invoke(app, [*generate, "--candidates"]).exit_code == 0
    assert json.loads(CliRunner().invoke(app, ["formats", "--json"]).stdout)["gptq"]["status"] == "candidate"


@pytest.mark.usefixtures("candidate")
def test_the_suite_may_prove_a_candidate() -> None:
    array = SUBJECT.dequantize(CONFIG, MODULE.tensors())
    np.testing.assert_array_equal(np.array(array), MODULE.weight())
    assert len(SUBJECT.open(stored(SOURCE))) == 14


def test_a_refused_packing_is_not_decoded_even_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gptq, "STATUS", "refused")
    with pytest.raises(UnsupportedFormat) as caught:
        dequantize(CONFIG, MODULE.tensors(), candidates=True)
    assert caught.value.code == "unsupported-layout"


def test_evidence_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "FOLDER", write(tmp_path))
    shown = CliRunner().invoke(app, ["formats"]).stdout
    assert "29 of 30 mutants" in shown
    assert "none yet" in shown
    found = json.loads(CliRunner().invoke(app, ["formats", "--json"]).stdout)
    assert found["gptq"]["evidence"] == WHOLE
    assert found["awq_gemm"]["evidence"] is None
    assert found["higgs"]["evidence"] is None


def test_an_enabled_format_needs_no_asking() -> None:
    assert dequantize(CONFIG, MODULE.tensors()).dtype == mx.float16
