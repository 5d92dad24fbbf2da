"""The suite about itself: its parts name the same formats, and it cannot pass by doing nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

import mlx_quant
import mlx_quant.subject
from conformance.cases.verdict import declined
from conformance.cli.main import main
from conformance.formats.registry import FORMATS
from conformance.levels.catalogue import CHECKED, MET
from conformance.selftest.ledger import Ledger
from conformance.subjects.ask import decode
from conformance.subjects.subject import Crashed, Refused

ROOT = Path(__file__).parents[2]


def test_the_levels_of_the_ledger_are_those_of_the_matrix() -> None:
    assert {level.id for level in CHECKED} - {"faults", "mutants"} == set(MET)
    explained = (ROOT / "docs/levels.md").read_text()
    assert all(level.title in explained for level in CHECKED)


def test_the_written_matrix_names_the_mutants_there_are() -> None:
    from conformance.mutants import MUTANTS

    written = json.loads((ROOT / "docs/mutants.json").read_text())
    assert [entry["id"] for entry in written["mutants"]] == [mutant.id for mutant in MUTANTS]
    assert all(any(entry["levels"].values()) for entry in written["mutants"])


def run(*arguments: str, subject: str = "", root: Path = ROOT, extra: Path | None = None) -> Any:
    command = [sys.executable, "-m", "conformance.cli", "selftest", "--profile=dev"]
    command += [f"--subject={subject}"] if subject else []
    path = f"{root}:{extra}" if extra else str(root)
    environment = {"PATH": "", "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "HOME": str(root)}
    return subprocess.run([*command, *arguments], cwd=root, env=environment, capture_output=True, text=True)


def part(file: str) -> tuple[str, ...]:
    return f"--only={file}", "--", "-q", "-x"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout without its vectors' cases and its checkpoints."""
    root = tmp_path_factory.mktemp("checkout")
    for folder in ("conformance", "reference", "mlx_quant"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for format in FORMATS.values():
        folder = f"fixtures/{format.ID}/vectors"
        shutil.copytree(ROOT / folder, root / folder)
        for stem in format.FILES.vectors:
            file = root / folder / f"{stem}.json"
            index = json.loads(file.read_text())
            file.write_text(json.dumps(index | {"cases": index["cases"][:2]}))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def test_a_truncated_suite_is_below_the_floor(copied: Path) -> None:
    found = run(*part("vectors"), root=copied)
    assert found.returncode == 3, found.stdout + found.stderr
    said = re.search(r"upstream vectors: (\d+) checks, at least (\d+) expected", found.stdout)
    assert said, found.stdout
    checks, floor = map(int, said.groups())
    # Two cases of each of the files, fewer where a policy decides, and most of them by two readers and in two roles.
    assert 0 < checks <= 2 * sum(len(format.FILES.vectors) for format in FORMATS.values()) * 4 < floor


def test_an_empty_selection_is_below_the_floor() -> None:
    found = run(*part("vectors"), "-k", "no_test_has_this_name")
    assert found.returncode == 3, found.stdout + found.stderr


def test_a_subject_that_cannot_be_found_is_wrong_usage() -> None:
    for name in ("py:no.such.module:SUBJECT", "py:json:loads", "never-installed"):
        assert main(["selftest", f"--subject={name}"]) == 2


SUBJECT = """
class _Subject:
    name, framework, refusals = "scripted", "numpy", ({refusals},)

    def info(self):
        return {{}}

    def dequantize(self, quantization_config, tensors, *, dtype=None):
        raise {raised}


SUBJECT = _Subject()
"""


@pytest.mark.parametrize(
    ("refusals", "raised", "selected", "status"),
    [
        ("KeyError", "KeyError('everything')", "vectors", 1),
        ("KeyError", "KeyError('everything')", "refusals", 0),
        ("KeyError", "IndexError('a crash')", "refusals", 1),
        ("KeyError", "IndexError('a crash')", "synthetic", 1),
    ],
)
def test_what_a_subject_that_decodes_nothing_gets(
    refusals: str, raised: str, selected: str, status: int, tmp_path: Path
) -> None:
    (tmp_path / "scripted.py").write_text(SUBJECT.format(refusals=refusals, raised=raised))
    few = ("-k", "ct_int") if selected == "synthetic" else ()
    found = run("--no-floor", *part(selected), *few, subject="py:scripted:SUBJECT", extra=tmp_path)
    assert found.returncode == status, found.stdout[-2000:] + found.stderr


class _Crashing:
    framework, refusals = "mlx", (mlx_quant.QuantError,)

    def dequantize(self, config: Any, tensors: Any, *, dtype: Any = None) -> mx.array:
        raise IndexError


class _Refusing(_Crashing):
    def dequantize(self, config: Any, tensors: Any, *, dtype: Any = None) -> mx.array:
        raise mlx_quant.UnsupportedFormat("unsupported-bits", "no")


def test_a_crash_is_no_refusal() -> None:
    crashed, refused = decode(_Crashing(), {}, {}), decode(_Refusing(), {}, {})
    assert isinstance(crashed, Crashed)
    assert isinstance(refused, Refused)
    assert declined(crashed, "unsupported-bits").complaint
    assert not declined(refused, "unsupported-bits").complaint
    assert declined(refused, "bad-shape").complaint


def test_a_floor_is_set_for_every_level() -> None:
    assert all(0 < level.installed_floor <= level.floor for level in CHECKED)
    assert len(Ledger().below_floor()) == len(CHECKED)
    excused = Ledger()
    excused.excuse("checkpoints", "no load()")
    assert len(excused.below_floor()) == len(CHECKED) - 1
    assert any("no load()" in line for line in excused.table())


def test_the_core_is_not_excused() -> None:
    assert callable(mlx_quant.subject.SUBJECT.load)
