"""Who may import whom, and what the wheel may contain: rules that are cheap to break by accident."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED_NOT = {
    "mlx_quant": {"torch", "transformers", "conformance", "reference", "mlx_quant_conformance", "mlx_quant_reference"},
    "reference": {"mlx", "mlx_lm", "mlx_quant", "conformance", "mlx_quant_conformance"},
    "conformance": {"reference", "mlx_quant", "mlx_quant_reference", "conformance"},
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(ALLOWED_NOT))
def test_a_package_imports_nothing_beyond_its_boundary(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        assert not imported(file) & ALLOWED_NOT[package], file


def test_fixtures_hold_no_package() -> None:
    assert not list((ROOT / "fixtures").rglob("__init__.py"))


def test_fixtures_stay_small() -> None:
    total = sum(file.stat().st_size for file in (ROOT / "fixtures").rglob("*") if file.is_file())
    assert total < 30_000_000
