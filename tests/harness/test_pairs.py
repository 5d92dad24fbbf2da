"""Pairs of options: each that a format declares is joined by some case, as can be seen of the module itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from conformance import suite
from conformance.bits.array import FLOATS, Array
from conformance.bits.rounding import nearest
from conformance.cases.question import Question
from conformance.formats import covering
from conformance.formats.gptq.packing import AUTOROUND_ALONE
from conformance.formats.grid import SCALE_KINDS
from conformance.formats.offset import scaled_zeros
from conformance.formats.registry import FORMATS
from conformance.formats.vptq.packing import said

DECLARED: dict[str, Any] = {format.SLUG: format for format in FORMATS.values() if hasattr(format, "OPTIONS")}
# By their names: a question that is asked for its flags is made, and this file is read by each process of a run.
QUESTIONS = [q for q in suite.questions() if q.level in ("synthetic", "sizes") and "/kept-" not in q.id]


def _map(question: Question) -> str:
    # In one group there is no order to see.
    if question.config["group_size"] == -1 and question.config.get("desc_act"):
        return "act-order"
    seen = {"no-g_idx", "sequential", "act-order", "arbitrary-groups"} & question.flags
    return seen.pop().removesuffix("-groups")


def _bias(question: Question) -> str | None:
    if "bias" not in question.tensors:
        return None
    return "real" if question.tensors["bias"].float64().any() else "zero"


def _offsets(question: Question) -> str:
    """Whether each offset of a group is what some zero point gives with its scale."""
    scales, stored = question.tensors["scales"], question.tensors.get("qzeros", question.tensors.get("scaled_zeros"))
    assert stored is not None
    due = [scaled_zeros(np.full(scales.shape, zero), scales).bits for zero in range(16)]
    # Rows that fill up the last word are 0, and so are their scales.
    padding = (scales.bits == 0) & (stored.bits == 0)
    return "zeros" if (np.any([bits == stored.bits for bits in due], axis=0) | padding).all() else "any"


def _moved(question: Question) -> str:
    """The same of metal's biases, each the opposite of a zero point times a scale."""
    scales, stored = question.tensors["scales"], question.tensors["qbiases"]
    due = [scaled_zeros(np.full(scales.shape, zero), scales).bits for zero in range(1 << question.config["bits"])]
    return "zeros" if np.any([bits == stored.bits for bits in due], axis=0).all() else "any"


def _number(question: Question, name: str) -> float:
    stored = question.tensors[name]
    return round(float(stored.float64().item()), 2) if stored.dtype in FLOATS else stored.bits.item()


def _folded(question: Question) -> int:
    """HQQ's group size, -1 of a whole row or column."""
    size, axis = int(_number(question, "group_size")), int(_number(question, "axis"))
    assert question.expected is not None
    return -1 if size == question.expected.shape[axis] else size


def _spelling(question: Question) -> str:
    if "w_bit" in question.config:
        return "old"
    if question.format == "gptq_marlin":
        return str(question.config["quant_method"])
    return "llm-awq" if "llm-awq" in question.flags else "plain"


SEEN: dict[str, Callable[[Question], Any]] = {
    "bits": lambda q: next(int(flag[5:]) for flag in q.flags if flag.startswith("bits-")),
    "word": lambda q: q.tensors["qweight"].dtype,
    "size": lambda q: q.config.get("group_size", q.config.get("q_group_size")),
    "map": _map,
    "dtype": lambda q: q.tensors["scales" if "scales" in q.tensors else "s"].dtype,
    "sym": lambda q: q.config["sym"],
    "version": lambda q: 2 if "gptq_v2" in q.flags else 1,
    "scales": lambda q: next((kind for kind in SCALE_KINDS if f"{kind}-scales" in q.flags), "ordinary"),
    "grown": lambda q: next((flag[6:] for flag in q.flags if flag.startswith("grown-")), "filling"),
    "output": lambda q: q.dtype,
    "bias": _bias,
    "shape": lambda q: q.expected.shape if q.expected else None,
    "spelling": _spelling,
    "offsets": _offsets,
}


def _weights(question: Question) -> dict[str, Any]:
    """compressed-tensors' arguments for the weights of a module."""
    (group,) = question.config["config_groups"].values()
    return dict(group["weights"])


def _spread(question: Question) -> Any:
    given = _weights(question)
    return {"group": given.get("group_size"), "channel": -1, "tensor": "tensor"}[given["strategy"]]


def _stored_map(question: Question) -> str:
    g_idx = question.tensors.get("weight_g_idx")
    if g_idx is None:
        return "absent"
    if (g_idx.bits == -1).all():
        return "minus-one"
    return ({"sequential", "act-order", "arbitrary-groups"} & question.flags).pop().removesuffix("-groups")


def _writer(question: Question) -> str:
    method = str(question.config["quant_method"])
    return "compressed" if method == "compressed-tensors" else method


def _scales(question: Question) -> Array:
    """Of FP8, whatever its writer calls them."""
    return next(
        question.tensors[name] for name in ("weight_scale", "weight_scale_inv", "scale") if name in question.tensors
    )


def _block(question: Question) -> str:
    """By the shape of the scales: of any of compressed-tensors' and ModelOpt's blocks too."""
    assert question.expected is not None
    stored = _scales(question)
    out, inputs = question.expected.shape
    if stored.bits.size == 1:
        return "matrix"
    # ModelOpt's blocks have four axes, two of them of one.
    shape = tuple(stored.shape[::2]) if len(stored.shape) == 4 else stored.shape
    if shape in ((out,), (out, 1)):
        return "channel"
    blocks = (f"{rows}x{columns}" for rows, columns in ((1, 32), (32, 32), (128, 128))
              if shape == (-(-out // rows), -(-inputs // columns)))  # fmt: skip
    return next(blocks, "another")


_COMPRESSED: dict[str, Callable[[Question], Any]] = {
    "bits": lambda q: _weights(q)["num_bits"],
    "size": _spread,
    "sym": lambda q: _weights(q)["symmetric"],
    "dtype": lambda q: q.tensors["weight_scale"].dtype,
    "form": lambda q: q.config["format"],
    "map": _stored_map,
    "old": lambda q: "version" in q.config,
}


# Where a format says it in another way.
def _quanto_size(question: Question) -> int:
    """quanto's group size, -1 of a whole row."""
    size, inputs = question.tensors["weight._data._data"].shape[1], question.config["in_features"]
    return -1 if size == inputs else size


def _shifts(question: Question) -> str:
    """Of quanto's groups: whether each shift is what the scale makes of some code, or all are below zero."""
    scales, shifts = question.tensors["weight._scale"], question.tensors["weight._shift"]
    largest = np.finfo(np.float16 if scales.dtype == "float16" else np.float32).max
    half = 0.5 if scales.dtype == "bfloat16" else 1
    codes = range(1 << int(question.config["weights"][4:]))
    made = [nearest(np.clip(scales.float64() * q, -largest, largest) * half, scales.dtype).float64() for q in codes]
    if np.any([each == shifts.float64() for each in made], axis=0).all():
        return "products"
    return "negative" if (shifts.float64() < 0).all() else "real"


SEEN_OF: dict[str, dict[str, Callable[[Question], Any]]] = {
    "hqq": {
        "bits": lambda q: _number(q, "nbits"),
        "axis": lambda q: _number(q, "axis"),
        "size": _folded,
        "dtype": lambda q: q.tensors["scale"].dtype,
        "zeros": lambda q: "whole" if (q.tensors["zero"].float64() % 1 == 0).all() else "real",
        "as_float": lambda q: q.tensors["W_q"].dtype in FLOATS,
    },
    "metal": {"offsets": _moved},
    "quanto_int4": {
        "bits": lambda q: int(q.config["weights"][4:]),
        "size": _quanto_size,
        "dtype": lambda q: q.tensors["weight._scale"].dtype,
        "shifts": _shifts,
    },
    "fp8": {
        "writer": _writer,
        "block": _block,
        "dtype": lambda q: _scales(q).dtype,
    },
    "ct_int": _COMPRESSED,
    "ct_packed": _COMPRESSED,
    "paroquant": {
        "krot": lambda q: len(q.tensors["theta"].bits),
        "angles": lambda q: q.tensors["theta"].dtype,
    },
    "aqlm": {
        "books": lambda q: q.config["num_codebooks"],
        "block": lambda q: (q.config["out_group_size"], q.config["in_group_size"]),
        "dtype": lambda q: q.tensors["codebooks"].dtype,
    },
    "vptq": {
        "bits": lambda q: said(q.config).bits,
        "more": lambda q: said(q.config).more,
        "books": lambda q: said(q.config).books,
        "vector": lambda q: said(q.config).vector,
        "few": lambda q: said(q.config).few,
        "perm": lambda q: said(q.config).perm,
        "dtype": lambda q: q.tensors["centroids.weight"].dtype,
    },
}


def lacking(format: Any, questions: Iterable[Question]) -> list[covering.Tuple]:
    """What no question joins, of all that is due."""
    joined: set[covering.Tuple] = set()
    for question in questions:
        seen = SEEN | SEEN_OF.get(format.SLUG, {})
        row = [(name, seen[name](question)) for name in format.OPTIONS]
        joined |= {*combinations(row, 2), *combinations([item for item in row if item[0] in format.THREEFOLD], 3)}
    due = covering.due(format.OPTIONS, format.THREEFOLD, format.APART)
    return [item for item in due if item not in joined and not _unseen(item)]


def _unseen(item: covering.Tuple) -> bool:
    """Of one group only ``desc_act`` says its order, a key that AutoRound, alone at these widths, does not have."""
    return dict(item).get("bits") in AUTOROUND_ALONE and {("size", -1), ("map", "act-order")} <= set(item)


@pytest.mark.parametrize("slug", DECLARED)
def test_every_pair_of_options_is_joined_or_explained(slug: str) -> None:
    assert lacking(DECLARED[slug], [q for q in QUESTIONS if q.format == slug]) == []


@pytest.mark.parametrize("slug", DECLARED)
def test_it_tells_where_one_is_not(slug: str) -> None:
    own = [q for q in QUESTIONS if q.format == slug]
    joined = [q for q in own if q.id.startswith(f"synthetic/{slug}-joined-")]
    assert lacking(DECLARED[slug], [q for q in own if q not in joined])
    assert lacking(DECLARED[slug], joined[::2])


def test_the_formats_that_users_meet_declare_their_options() -> None:
    assert {"gptq", "awq"} <= DECLARED.keys()
    for format in DECLARED.values():
        assert format.OPTIONS.keys() <= (SEEN | SEEN_OF.get(format.SLUG, {})).keys()
        assert set(format.THREEFOLD) <= format.OPTIONS.keys()
        assert all(reason and options.keys() <= format.OPTIONS.keys() for options, reason in format.APART)


def test_rows_hold_all_that_is_due_and_none_that_is_apart() -> None:
    options: covering.Options = {"a": (1, 2, 3), "b": (1, 2), "c": (1, 2), "d": (1, 2)}
    apart: covering.Apart = (({"a": 3, "b": 2}, "for a test"),)
    found = covering.rows(options, ("b", "c", "d"), apart)
    assert len(found) < 24
    assert all(row.keys() == options.keys() and covering.together(row, apart) for row in found)
    for item in covering.due(options, ("b", "c", "d"), apart):
        assert any(dict(item).items() <= row.items() for row in found)
    with pytest.raises(ValueError, match="goes with"):
        covering.rows(options, (), (({"a": 3, "b": 1}, "x"), ({"a": 3, "b": 2}, "y")))
