"""Where upstream readers or labels disagree, the answer this suite holds everybody to (reasons: docs/policies.md)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.fields import fields, words
from ..cases.case import Case
from ..cases.verdict import Verdict, asked
from ..corpus.fixtures import PRODUCER_FILES, Vector, vectors
from ..formats.module import Pack
from ..subjects.ask import decode
from . import policies
from .by_oracle import by_oracle

ALL_ONES = 15


def disputed(vector: Vector) -> bool:
    """Whether AutoGPTQ's two readers part: a stored zero point of all ones is 16 to one and 0 to the other."""
    return "stored-zero-all-ones" in vector.flags


def expected(vector: Vector) -> Array:
    """Upstream's answer with a zero point of 0 wherever the stored field is all ones.

    ``qlinear_cuda_old`` gives exactly that. Where only ``qlinear_cuda`` can read the file (act-order), its weights are
    kept except in the disputed places, which are ``RN(s * q)``.
    """
    if "cuda_old" in vector.expected:
        return vector.expected["cuda_old"]
    upstream, tensors = vector.expected["cuda"], vector.tensors
    group = tensors["g_idx"].bits
    stored = fields(tensors["qzeros"].bits, axis=1)[group].T
    codes = fields(tensors["qweight"].bits, axis=0).T
    if upstream.dtype != "float16":
        raise ValueError("the rounding below is numpy's, which has no bfloat16")
    with np.errstate(over="ignore"):
        product = (tensors["scales"].float64()[group].T * codes).astype(np.float16)
    return Array("float16", np.where(stored == ALL_ONES, product.view(np.uint16), upstream.bits))


def metamorphic_pairs() -> Iterator[tuple[str, dict[str, Any], dict[str, Array], dict[str, Any], dict[str, Array]]]:
    """(id, config, tensors, plain config, plain tensors): two ways to store one module, which must decode alike."""
    rng = np.random.default_rng(20261123)
    groups, out, rows = 4, 64, 16
    qweight = Array.of(rng.integers(-(2**31), 2**31, (rows, out), dtype=np.int32))
    scales = Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16))
    base = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False}

    def tensors(qzeros: np.ndarray | None) -> dict[str, Array]:
        rest = {} if qzeros is None else {"qzeros": Array.of(qzeros)}
        return {"qweight": qweight, "scales": scales, **rest}

    zeros = rng.integers(0, 16, (groups, out), dtype=np.uint32)
    zeros[0, :8] = [8, 0, 5, 7, 0, 0, 3, 9]
    per_field = tensors(words((zeros - 1) % 16))
    borrowed = (words(zeros).view(np.uint32) - np.uint32(0x11111111)).view(np.int32)
    for version in ("0.9.0", "1.4.2", "7.7.0"):
        meta = {"meta": {"quantizer": [f"gptqmodel:{version}"]}, "checkpoint_format": "gptq"}
        yield (
            f"gptqmodel-{version}-borrow",
            base | meta | {"sym": False},
            tensors(borrowed),
            base | {"sym": False},
            per_field,
        )

    symmetric = base | {"sym": True}
    sevens, eights = np.full((2, groups, out // 8), 0x11111111, np.int64) * np.array([7, 8])[:, None, None]
    plain = tensors(sevens.astype(np.uint32).view(np.int32))
    lying = tensors(eights.astype(np.uint32).view(np.int32))
    yield "v1-label-stores-eights", symmetric | {"checkpoint_format": "gptq"}, lying, symmetric, plain
    yield "v2-label-stores-sevens", symmetric | {"checkpoint_format": "gptq_v2"}, plain, symmetric, plain
    yield "symmetric-without-qzeros", symmetric, tensors(None), symmetric, plain
    # AutoGPTQ's readers never look at sym, so a symmetric file whose zero points differ is read as it is stored.
    yield "symmetric-with-other-zeros", symmetric, per_field, base | {"sym": False}, per_field
    # One field that differs is enough: the label of such a file is not shown to be wrong.
    nearly = np.full((groups, out), 8, np.uint32)
    nearly[-1, -1] = 7
    almost = tensors(words(nearly))
    yield "eights-in-all-fields-but-one", symmetric, almost, base | {"sym": False}, almost
    nearly[-1, -1] = 9
    almost = tensors(words(nearly))
    yield "eights-and-a-nine", symmetric, almost, base | {"sym": False}, almost
    # Without sym: true nobody knows the zero point, so a stored 8 is a 9.
    yield "eights-without-sym", base, lying, base | {"sym": False}, lying
    sequential = Array.of(np.arange(rows * 8, dtype=np.int32) // 32)
    yield "g_idx-in-order", symmetric, plain | {"g_idx": sequential}, symmetric, plain
    static = symmetric | {"desc_act": True, "static_groups": True}
    yield "static-groups-without-g_idx", static, plain, symmetric, plain
    # With one group there is nothing to order, so no map is missing.
    one = plain | {name: Array(plain[name].dtype, plain[name].bits[:1]) for name in ("qzeros", "scales")}
    whole = symmetric | {"group_size": -1}
    yield "one-group-without-g_idx", whole | {"desc_act": True}, one, whole, one
    # 128 inputs are a group of 96 and one of 32.
    two = plain | {name: Array(plain[name].dtype, plain[name].bits[:2]) for name in ("qzeros", "scales")}
    short = symmetric | {"group_size": 96}
    unequal = Array.of(np.arange(rows * 8, dtype=np.int32) // 96)
    yield "short-last-group-without-g_idx", short, two, short, two | {"g_idx": unequal}
    # Real matrices have thousands of inputs; all others of the suite have few.
    long = {
        "qweight": Array.of(rng.integers(-(2**31), 2**31, (260, 8), dtype=np.int32)),
        "qzeros": Array.of(rng.integers(-(2**31), 2**31, (65, 1), dtype=np.int32)),
        "scales": Array.of((rng.integers(1, 1 << 11, (65, 8)) * 2.0**-14).astype(np.float16)),
    }
    sequential = Array.of(np.arange(2080, dtype=np.int32) // 32)
    yield "g_idx-in-order-of-2080", base | {"sym": False}, long | {"g_idx": sequential}, base | {"sym": False}, long


def disputes() -> Iterator[Case]:
    """Upstream's vectors whose readers disagree."""
    for vector in filter(policies.disputed, vectors()):
        yield Case(vector.id, asked(vector.config, vector.tensors, policies.expected(vector)))


def produced() -> Iterator[Case]:
    """Vectors of other producers, held to what those read themselves."""
    for vector in vectors(PRODUCER_FILES):
        for reader, expected in sorted(vector.expected.items()):
            yield Case(f"{vector.id}-{reader}", asked(vector.config, vector.tensors, expected))


def spellings() -> Iterator[Case]:
    """One module stored in two ways, which must decode alike."""
    for id, config, tensors, plain_config, plain_tensors in policies.metamorphic_pairs():
        plain = by_oracle(Pack(plain_config, plain_tensors, frozenset(), None))
        yield Case(id, partial(_relayed, plain, config, tensors))


def _relayed(plain: Any, config: Any, tensors: Any, subject: Any, oracle: Any) -> Verdict:
    return plain(_Relay(subject, config, tensors), oracle)


class _Relay:
    """A subject that is shown one module, and asked about another."""

    def __init__(self, subject: Any, config: Any, tensors: Any) -> None:
        self.framework, self.refusals = "array", subject.refusals
        self._ask = partial(decode, subject, config, tensors)

    def dequantize(self, config: Any, tensors: Any, *, dtype: str | None = None) -> Array:
        answer = self._ask(dtype)
        if isinstance(answer, Array):
            return answer
        raise answer.error
