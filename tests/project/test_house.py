"""The house: rooms in one direction, no circle, a format in rooms of its own, and what the wheel may import."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Each may import those before it, and nothing else of its package.
ORDER = {
    "mlx_quant": (
        "version",
        "errors",
        "files",
        "weights",
        "dialects",
        "packings",
        "module",
        "models",
        "checkpoint",
        "conversion",
        "running",
        "subject",
        "cli",
    ),
    "conformance": (
        "bits",
        "formats",
        "subjects",
        "serve",
        "corpus",
        "cases",
        "mutants",
        "levels",
        "suite",
        "kills",
        "run",
        "reports",
        "survey",
        "export",
        "site",
        "bench",
        "selftest",
        "cli",
    ),
    "reference": (
        *("unpacked", "config", "autoround", "gemma", "dialects", "formats", "activation", "checkpoint", "subject"),
    ),
}
FOREIGN = {
    "mlx_quant": {"torch", "transformers", "conformance", "reference", "mlx_quant_conformance", "mlx_quant_reference"},
    "reference": {"mlx", "mlx_lm", "mlx_quant", "conformance", "mlx_quant_conformance"},
    "conformance": {"reference", "mlx_quant", "mlx_quant_reference", "conformance"},
}
# Where the name of a format may be spelled: its own rooms, and mutants, which are faults of known formats.
ROOMS = {"mlx_quant": ("dialects/", "packings/"), "conformance": ("formats/", "mutants/"), "reference": ("formats/",)}
Graph = dict[str, set[str]]


def modules(package: Path) -> dict[str, Path]:
    """Module to file, as ``room.module`` within the package; a folder's ``__init__`` is the folder."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def graph(package: Path) -> Graph:
    """Module to the modules of the same package that it imports, wherever in its file the import stands."""
    files = modules(package)
    return {name: set(_imported(name, file, files)) for name, file in files.items()}


def _imported(name: str, file: Path, files: Mapping[str, Path]) -> Iterator[str]:
    here = name.split(".") if name else []
    if file.name != "__init__.py":
        here = here[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level + 1] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                deeper = ".".join([*base, alias.name])
                target = deeper if deeper in files else ".".join(base)
                if target and target != name:
                    yield target


def upward(found: Graph, order: tuple[str, ...]) -> list[str]:
    """Imports of a later room, and rooms that the order does not know."""
    place = {room: number for number, room in enumerate(order)}
    rooms = {name: name.partition(".")[0] for name in found if name}
    unknown = [f"{name}: in no room" for name, room in rooms.items() if room not in place]
    return unknown + [
        f"{name} imports {other}"
        for name, others in found.items()
        for other in others
        if name in rooms and not unknown and place[rooms[name]] < place[other.partition(".")[0]]
    ]


def circle(found: Graph) -> list[str]:
    """Modules that import each other in a loop; empty without one. The package's own face is left out."""
    state: dict[str, int] = {}
    path: list[str] = []

    def visit(name: str) -> list[str]:
        state[name] = 1
        path.append(name)
        for other in sorted(found.get(name, ())):
            if state.get(other) == 1:
                return [*path[path.index(other) :], other]
            if other not in state and (loop := visit(other)):
                return loop
        path.pop()
        state[name] = 2
        return []

    return next((loop for name in sorted(found) if name and name not in state and (loop := visit(name))), [])


@pytest.mark.parametrize("package", sorted(ORDER))
def test_no_import_runs_back(package: str) -> None:
    assert upward(graph(ROOT / package), ORDER[package]) == []


@pytest.mark.parametrize("package", sorted(ORDER))
def test_nothing_imports_itself_by_way_of_others(package: str) -> None:
    assert circle(graph(ROOT / package)) == []


@pytest.mark.parametrize("package", sorted(FOREIGN))
def test_a_package_imports_nothing_beyond_its_boundary(package: str) -> None:
    for file in modules(ROOT / package).values():
        names: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.partition(".")[0])
        assert not names & FOREIGN[package], file


def test_the_rules_have_teeth(tmp_path: Path) -> None:
    """A forbidden import, lazy or not, and a circle of three files within one room."""
    for name, text in {
        "bits/__init__.py": "",
        "bits/low.py": "def f():\n    from ..levels import high\n",
        "levels/__init__.py": "",
        "levels/high.py": "from ..bits import low\n",
        "cases/__init__.py": "",
        "cases/a.py": "from .b import x\n",
        "cases/b.py": "def f():\n    from . import c\n",
        "cases/c.py": "from .a import y\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = graph(tmp_path)
    assert upward(found, ("bits", "cases", "levels")) == ["bits.low imports levels.high"]
    assert circle(found) == ["bits.low", "levels.high", "bits.low"]
    assert circle({name: others for name, others in found.items() if name.startswith("cases")}) == [
        "cases.a",
        "cases.b",
        "cases.c",
        "cases.a",
    ]
    assert upward(found, ("bits", "levels")) == [f"cases{part}: in no room" for part in ("", ".a", ".b", ".c")]


def test_a_format_has_the_same_stem_in_four_places() -> None:
    import mlx_quant
    from conformance.formats.registry import FORMATS

    packings = {file.stem for file in (ROOT / "mlx_quant/packings").glob("[a-z]*.py")}
    packings -= {"activation", "checks", "foreign", "protocol", "registry", "status"}
    found = {
        "mlx_quant.formats()": {name for name, status in mlx_quant.formats().items() if status.status != "refused"},
        "mlx_quant/packings": packings,
        "reference/formats": {file.stem for file in (ROOT / "reference/formats").glob("[a-z]*.py")},
        "conformance/formats": {file.parent.name for file in (ROOT / "conformance/formats").glob("*/__init__.py")}
        - {"dialects"},
        "conformance registry": set(FORMATS),
        "fixtures": {folder.parent.name for folder in (ROOT / "fixtures").glob("*/vectors")},
    }
    assert len(set(map(frozenset, found.values()))) == 1, found


@pytest.mark.parametrize("package", sorted(ROOMS))
def test_no_format_is_named_outside_its_rooms(package: str) -> None:
    """So nothing branches on one: what is not GPTQ is never taken for AWQ, nor the other way round."""
    names = {"gptq", "gptq_v2", "awq", "awq_gemm", "gemm"}
    for file in modules(ROOT / package).values():
        inside = file.relative_to(ROOT / package).as_posix()
        if inside.startswith(ROOMS[package]) or file.name.startswith("test_"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant):
                assert node.value not in names, f"{file}:{node.lineno} names {node.value!r}"


def test_fixtures_hold_no_package_and_stay_small() -> None:
    assert not list((ROOT / "fixtures").rglob("__init__.py"))
    assert sum(file.stat().st_size for file in (ROOT / "fixtures").rglob("*") if file.is_file()) < 94_000_000
