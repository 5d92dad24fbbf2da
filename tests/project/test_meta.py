"""The suite about itself: its cases reach what they claim, its parts name the same formats, and it cannot pass by
doing nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
import mlx_quant.subject
from conformance.cases.verdict import declined
from conformance.formats import strategies
from conformance.formats.bnb_int8.packing import Rows
from conformance.formats.hqq.packing import Zeroed
from conformance.formats.module import Pack
from conformance.formats.registry import BY_SLUG, FORMATS, integers, known, parts
from conformance.formats.scaled import Scaled
from conformance.levels.catalogue import CHECKED, MET
from conformance.levels.drawn import STRATEGIES, drawn
from conformance.selftest.ledger import Ledger
from conformance.subjects.ask import decode
from conformance.subjects.subject import Crashed, Refused

ROOT = Path(__file__).parents[2]
ENOUGH = 400


# A format by itself; the strategies of its other widths differ in nothing else.
LABELS = {
    label: pytest.param(label, marks=() if label in BY_SLUG else pytest.mark.slow, id=label) for label in STRATEGIES
}


SHARED = (
    *(f"g{size}" for size in strategies.GROUP_SIZES),
    *(f"scales-{kind}" for kind in (*strategies.SCALE_KINDS, *strategies.SCALE_DTYPES)),
    *(f"bias-{kind}" for kind in strategies.BIASES),
    *(f"dtype-{dtype}" for dtype in (None, *strategies.SCALE_DTYPES)),
    *("square", "groups-times-8", "other"),
)
ONLY_GPTQ = (*(f"g_idx-{kind}" for kind in strategies.GROUP_MAPS), "sym", "asym")


# The names that another packer of the same format gives.
ALIASES = {"B": "qweight", "s": "scales"}
WITHOUT_MAPS = {"gptq_marlin"}
# Formats that share nothing of that: scales of blocks, and of outputs.
_TAKEN = (
    *(f"bias-{kind}" for kind in strategies.BIASES),
    *(f"dtype-{dtype}" for dtype in (None, *strategies.SCALE_DTYPES)),
)
OTHERS: dict[str, tuple[str, ...]] = {
    "fp8": (
        *("blocks", "e8m0", "tensor", "channel", "modelopt", "ct-channel", "ct-block", "ct-group"),
        *(f"scales-{dtype}" for dtype in (*strategies.SCALE_DTYPES, "uint8", "float8_e8m0fnu")),
        *_TAKEN,
    ),
    "nvfp4": (
        *("ct", "modelopt", "modelopt-w4a16", "modelopt-w4a8", "experts", "experts-of-their-own"),
        *(f"range-{kind}" for kind in ("ordinary", "tiny", "small", "huge", "one")),
        *_TAKEN,
    ),
    "mxfp4": (
        *("experts", "gpt-oss", "ct", "modelopt", "modelopt-w4a8", "scales-uint8", "scales-float8_e8m0fnu"),
        *_TAKEN,
    ),
    "bnb_4bit": (
        *("nf4", "fp4", "double"),
        *(f"stored-{dtype}" for dtype in ("uint8", "int8", *strategies.SCALE_DTYPES)),
        *(f"{what}-{dtype}" for what in ("is", "scales") for dtype in strategies.SCALE_DTYPES),
        *_TAKEN,
    ),
    "hqq": (
        *(f"{bits}bit" for bits in (1, 2, 3, 4, 8)),
        *("axis-0", "axis-1", "viewed", "words"),
        *(f"scales-{kind}" for kind in (*strategies.SCALE_KINDS, *strategies.SCALE_DTYPES)),
        *_TAKEN,
    ),
    "modelopt_int4": (
        *(f"scales-{kind}" for kind in strategies.SCALE_KINDS),
        *(f"inputs-{dtype}" for dtype in (None, *strategies.SCALE_DTYPES)),
        *_TAKEN,
    ),
    "gemma_quant": (
        *("2bit", "4bit", "8bit", "linear", "embedding"),
        *(f"scales-{kind}" for kind in strategies.SCALE_KINDS),
        *_TAKEN,
    ),
    "bnb_int8": ("no-weight_format", *(f"scales-{kind}" for kind in strategies.SCALE_KINDS), *_TAKEN),
}


@pytest.mark.parametrize("label", LABELS.values())
def test_every_flag_of_a_strategy_occurs(label: str) -> None:
    maps = label.startswith("gptq") and label not in WITHOUT_MAPS
    claimed = {*OTHERS.get(label, (*SHARED, *(ONLY_GPTQ if maps else ())))}
    found = {flag for pack in drawn(label, ENOUGH) for flag in pack.flags}
    assert found == claimed


def _tensor(pack: Pack, name: str) -> Any:
    """By its name, or the other one that a packer of the same format gives it."""
    return pack.tensors[name if name in pack.tensors else ALIASES[name]]


def _zeros(pack: Pack) -> Any:
    return integers(pack.config, pack.tensors).z


def _stored(pack: Pack) -> Any:
    return known(pack.config).LAYOUT.stored_zero(_zeros(pack), integers(pack.config, pack.tensors).bits)


def _groups(pack: Pack) -> int:
    found = parts(pack.config, pack.tensors).triple()
    assert found is not None
    return len(found.s)


def _ones(pack: Pack) -> int:
    return (1 << integers(pack.config, pack.tensors).bits) - 1


def _offsets(pack: Pack) -> float:
    """The first of them."""
    found = parts(pack.config, pack.tensors).triple()
    assert found is not None
    return float(found.offsets().flat[0])


def _scales(pack: Pack) -> Any:
    return _tensor(pack, known(pack.config).LAYOUT.scales).float64()


def _scale_bits(pack: Pack) -> Any:
    return _tensor(pack, known(pack.config).LAYOUT.scales).bits


def _codes(pack: Pack) -> Any:
    return _tensor(pack, known(pack.config).LAYOUT.codes).bits


EDGES: dict[str, Callable[[Pack], bool]] = {
    "negative words": lambda pack: bool((_codes(pack) < 0).any()),
    "a zero point of 0": lambda pack: 0 in _zeros(pack),
    "a stored zero point of all ones": lambda pack: (
        (1 << integers(pack.config, pack.tensors).bits) - 1 in _stored(pack)
    ),
    "negative scales": lambda pack: bool((_scales(pack) < 0).any()),
    "scales of zero": lambda pack: bool((_scales(pack) == 0).any()),
    "a negative zero": lambda pack: bool(((_scales(pack) == 0) & (_scale_bits(pack) != 0)).any()),
    "one group": lambda pack: _groups(pack) == 1,
    "several groups": lambda pack: _groups(pack) > 1,
    "qzeros square": lambda pack: pack.tensors["qzeros"].shape[0] == pack.tensors["qzeros"].shape[1] > 1,
}
ONLY_AWQ: dict[str, Callable[[Pack], bool]] = {
    "AutoAWQ's old spelling": lambda pack: "q_group_size" in pack.config,
    "no quant_method": lambda pack: "quant_method" not in pack.config,
}


def _blocks(pack: Pack) -> Any:
    found = parts(pack.config, pack.tensors)
    assert isinstance(found, Scaled)
    return found


FLOAT_EDGES: dict[str, Callable[[Pack], bool]] = {
    "negative scales": lambda pack: bool((_blocks(pack).s < 0).any()),
    "scales of zero": lambda pack: 0 in _blocks(pack).s,
    "the least power of two": lambda pack: 2.0**-127 in _blocks(pack).s,
    "one block": lambda pack: _blocks(pack).s.size == 1,
    "several blocks each way": lambda pack: min(_blocks(pack).s.shape) > 1,
    "rows cut short": lambda pack: bool(_blocks(pack).shape[-2] % _blocks(pack).block[0]),
    "columns cut short": lambda pack: bool(_blocks(pack).shape[-1] % _blocks(pack).block[1]),
    "minus zero": lambda pack: bool(
        (np.signbit(_blocks(pack).values) & (_blocks(pack).values == 0))[_blocks(pack).q].any()
    ),
    "a stack of experts": lambda pack: len(_blocks(pack).shape) == 3,
}
# Scales of fours are powers of two, of one output each, and their groups are whole; no other format has stacks.
NOT_REACHED = {
    "fp8": {"a stack of experts"},
    "mxfp4": {"negative scales", "scales of zero", "rows cut short", "columns cut short"},
    "nvfp4": {"the least power of two", "rows cut short", "columns cut short"},
}


FLAT_EDGES: dict[str, Callable[[Pack], bool]] = {
    "negative scales": FLOAT_EDGES["negative scales"],
    "scales of zero": FLOAT_EDGES["scales of zero"],
    "one block": FLOAT_EDGES["one block"],
    "a last block cut short": lambda pack: bool(_blocks(pack).q.size % _blocks(pack).block[1]),
    "blocks across rows": lambda pack: bool(_blocks(pack).shape[1] % _blocks(pack).block[1]),
    "rows of odd length": lambda pack: bool(_blocks(pack).shape[1] % 2) and _blocks(pack).shape[0] > 1,
    "an odd number of weights": lambda pack: bool(_blocks(pack).q.size % 2),
    "every code": lambda pack: np.unique(_blocks(pack).q).size == 16,
}


def _rows(pack: Pack) -> Rows:
    found = parts(pack.config, pack.tensors)
    assert isinstance(found, Rows)
    return found


ROW_EDGES: dict[str, Callable[[Pack], bool]] = {
    "negative scales": lambda pack: bool((_rows(pack).s < 0).any()),
    "scales of zero": lambda pack: 0 in _rows(pack).s,
    "the least code": lambda pack: -128 in _rows(pack).q,
    "one output": lambda pack: _rows(pack).shape[0] == 1,
    "square": lambda pack: _rows(pack).shape[0] == _rows(pack).shape[1] > 1,
}


def _zeroed(pack: Pack) -> Zeroed:
    found = parts(pack.config, pack.tensors)
    assert isinstance(found, Zeroed)
    return found


FOLDED_EDGES: dict[str, Callable[[Pack], bool]] = {
    "negative scales": lambda pack: bool((_zeroed(pack).s < 0).any()),
    "scales of zero": lambda pack: 0 in _zeroed(pack).s,
    "zero points that are no code": lambda pack: bool((_zeroed(pack).z < 0).any()),
    "groups across rows": lambda pack: _zeroed(pack).size is None and bool(pack.tensors["axis"].bits.item()),
    "one row of what is folded": lambda pack: pack.tensors["scale"].bits.size == 1,
    "the highest bit of a word": lambda pack: pack.tensors["W_q"].dtype == "int32" and bool((_codes(pack) < 0).any()),
}

HALF_EDGES: dict[str, Callable[[Pack], bool]] = {
    **{edge: EDGES[edge] for edge in ("negative scales", "scales of zero")},
    "one group": lambda pack: pack.tensors["weight_scale"].shape[1] == 1,
    "several groups": lambda pack: pack.tensors["weight_scale"].shape[1] > 1,
    "the least code": lambda pack: bool((pack.tensors["weight"].bits & 15 == 8).any()),
    "one pair of outputs": lambda pack: pack.tensors["weight"].shape[0] == 1,
    "scaled inputs that do not fill a word": lambda pack: (
        "pre_quant_scale" in pack.tensors and pack.tensors["weight"].shape[1] % 8 > 0
    ),
}

COLUMN_EDGES: dict[str, Callable[[Pack], bool]] = {
    **{edge: EDGES[edge] for edge in ("negative scales", "scales of zero")},
    "the least code": lambda pack: bool((integers(pack.config, pack.tensors).q == 0).any()),
    "one output": lambda pack: integers(pack.config, pack.tensors).shape[0] == 1,
    "rows that do not fill a word": lambda pack: (
        integers(pack.config, pack.tensors).shape[1] * integers(pack.config, pack.tensors).bits % 32 > 0
    ),
}
EDGES_OF = {
    "hqq": FOLDED_EDGES,
    "modelopt_int4": HALF_EDGES,
    "fp8": FLOAT_EDGES,
    "mxfp4": FLOAT_EDGES,
    "nvfp4": FLOAT_EDGES,
    "bnb_4bit": FLAT_EDGES,
    "bnb_int8": ROW_EDGES,
    "gemma_quant": COLUMN_EDGES,
}


@pytest.mark.parametrize(("label", "edge"), [(label, edge) for label, own in EDGES_OF.items() for edge in own])
def test_the_strategies_of_floats_reach_the_edges(label: str, edge: str) -> None:
    assert EDGES_OF.keys() == OTHERS.keys()
    reached = any(EDGES_OF[label][edge](pack) for pack in drawn(label, ENOUGH))
    assert reached == (edge not in NOT_REACHED.get(label, ()))


@pytest.mark.parametrize("edge", [*EDGES, *ONLY_AWQ])
@pytest.mark.parametrize("label", [marked for label, marked in LABELS.items() if label not in OTHERS])
def test_the_strategies_reach_the_edges(label: str, edge: str) -> None:
    # At other widths than 4 bits a square would take other shapes than those that are drawn.
    if (edge in ONLY_AWQ and label != "awq") or (edge == "qzeros square" and label not in ("awq", "gptq")):
        return
    # Floats in place of zero points have the edges of scales.
    if "zero point" in edge and known(drawn(label, ENOUGH)[0].config).LAYOUT.zeros is None:
        assert any(_offsets(pack) > 0 for pack in drawn(label, ENOUGH))
        assert any(_offsets(pack) < 0 for pack in drawn(label, ENOUGH))
        return
    reached = EDGES.get(edge) or ONLY_AWQ[edge]
    assert any(reached(pack) for pack in drawn(label, ENOUGH))


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
    found = run("--", "-q", "-k", "test_vectors", root=copied)
    assert found.returncode == 3, found.stdout + found.stderr
    said = re.search(r"upstream vectors: (\d+) checks, at least (\d+) expected", found.stdout)
    assert said, found.stdout
    checks, floor = map(int, said.groups())
    # Two cases of each of the files, fewer where a policy decides, and most of them by two readers and in two roles.
    assert 0 < checks <= 2 * sum(len(format.FILES.vectors) for format in FORMATS.values()) * 4 < floor


def test_an_empty_selection_is_below_the_floor() -> None:
    found = run("--", "-q", "-k", "no_test_has_this_name")
    assert found.returncode == 3, found.stdout + found.stderr


def test_a_subject_that_cannot_be_found_is_wrong_usage() -> None:
    for name in ("py:no.such.module:SUBJECT", "py:json:loads", "never-installed"):
        found = run(subject=name)
        assert found.returncode == 2, found.stdout + found.stderr


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
        ("KeyError", "KeyError('everything')", "test_vectors", 1),
        ("KeyError", "KeyError('everything')", "test_refusals", 0),
        ("KeyError", "IndexError('a crash')", "test_refusals", 1),
        ("KeyError", "IndexError('a crash')", "test_synthetic and ct_int", 1),
    ],
)
def test_what_a_subject_that_decodes_nothing_gets(
    refusals: str, raised: str, selected: str, status: int, tmp_path: Path
) -> None:
    (tmp_path / "scripted.py").write_text(SUBJECT.format(refusals=refusals, raised=raised))
    found = run("--no-floor", "--", "-q", "-k", selected, subject="py:scripted:SUBJECT", extra=tmp_path)
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
