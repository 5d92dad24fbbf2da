"""VPTQ, packed and taken apart in NumPy, and the configs that describe it.

Source: vptq 0.0.5.post1, ``utils/pack.py`` (``pack_index``, ``unpack_index_tensor``) and ``ops/quant_gemm.py``
(``dequant``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..parts import Config, Tensors

WIDTHS = (8, 12, 16, 4, 1)
METHOD = "vptq"
LAYERS, SHARED = "config_for_layers", "shared_layer_config"
LENS, ENTRIES, RESIDUALS = "vector_lens", "num_centroids", "num_res_centroids"
BOOKS, GROUP, APART = "group_num", "group_size", "outlier_size"
NORM, PERM = "enable_norm", "enable_perm"
OUT, IN = "out_features", "in_features"
# Last parts of the names of modules of the models that the suite builds.
TAILS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")
INDICES, TABLES, RES_TABLES = "indices", "centroids.weight", "res_centroids.weight"
FEW_INDICES, FEW_TABLES = "outlier_indices", "outlier_centroids.weight"
ORDER, SCALES, BIASES = "perm", "weight_scale", "weight_bias"


@dataclass(frozen=True)
class Kind:
    """What a config says of a module: bits of a code and of its residual, outputs of an entry, codebooks, and
    (inputs, outputs of an entry, entries) of outliers."""

    bits: int = 8
    more: int = 0
    vector: int = 8
    books: int = 1
    few: tuple[int, int, int] = (0, -1, -1)
    perm: bool = True
    norm: bool = True

    @property
    def total(self) -> int:
        return self.bits + self.more

    def group(self, in_features: int) -> int:
        return (in_features - self.few[0]) // self.books


@dataclass(frozen=True)
class Vectors:
    """Codes ``q`` [books, rows, group] of tables ``e`` [books, entries, vector], residuals ``p`` of ``r``, codes ``o``
    [rows, outliers] of ``t`` [entries, vector], the input ``perm`` of each column, scales ``s`` and biases ``b`` [in]:
    ``W = RN(RN(RN(e + r) * s) + b)`` in ``dtype``. What a module has not is None."""

    q: np.ndarray
    e: np.ndarray
    dtype: str
    out: int
    p: np.ndarray | None = None
    r: np.ndarray | None = None
    o: np.ndarray | None = None
    t: np.ndarray | None = None
    perm: np.ndarray | None = None
    s: np.ndarray | None = None
    b: np.ndarray | None = None

    def with_(self, **changes: Any) -> Vectors:
        return replace(self, **changes)

    @property
    def apart(self) -> int:
        return 0 if self.o is None else self.o.shape[1]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.out, self.apart + self.q.shape[0] * self.q.shape[2]

    def columns(self) -> np.ndarray:
        """float64 [out, in] before inputs are put in order, sums of entries and residuals rounded."""
        found = [_entries(q, e)[: self.out] for q, e in zip(self.q, self.e, strict=True)]
        if self.p is not None and self.r is not None:
            added = [_entries(p, r)[: self.out] for p, r in zip(self.p, self.r, strict=True)]
            found = [self.rounded(a + b) for a, b in zip(found, added, strict=True)]
        if self.o is not None and self.t is not None:
            found = [_entries(self.o, self.t)[: self.out], *found]
        return np.concatenate(found, axis=1)

    def ordered(self, columns: np.ndarray) -> np.ndarray:
        """Column ``j`` goes to input ``perm[j]``."""
        if self.perm is None:
            return columns
        found = np.empty_like(columns)
        found[:, self.perm] = columns
        return found

    def normed(self, weight: np.ndarray) -> np.ndarray:
        if self.s is None or self.b is None:
            return weight
        with np.errstate(invalid="ignore"):
            return self.rounded(self.rounded(weight * self.s) + self.b)

    def rounded(self, values: np.ndarray) -> np.ndarray:
        return nearest(values, self.dtype).float64()

    def cast(self, weight: np.ndarray, dtype: str | None) -> Array:
        own = nearest(weight, self.dtype)
        return own if dtype in (None, self.dtype) else nearest(own.float64(), dtype or self.dtype)

    def dense(self, dtype: str | None) -> Array:
        return self.cast(self.normed(self.ordered(self.columns())), dtype)

    def step(self) -> np.ndarray:
        """How far entries spread, which is how far a wrong code leads."""
        spread = float(np.std(self.e))
        scales = np.ones(self.shape[1]) if self.s is None else np.abs(self.s)
        return np.broadcast_to(scales * spread, self.shape)

    def triple(self) -> None:
        """Entries lie in no line."""
        return None

    def formula(self, output: int, channel: int) -> str:
        value = float(self.ordered(self.columns())[output, channel])
        if self.s is None or self.b is None:
            return f"RN(e + r) = {value!r}"
        return f"RN(e + r) * s + b = {value!r} * {float(self.s[channel])!r} + {float(self.b[channel])!r}"


def _entries(codes: np.ndarray, table: np.ndarray) -> np.ndarray:
    """[rows * vector, inputs] of codes [rows, inputs]."""
    rows, inputs = codes.shape
    return table[codes].swapaxes(1, 2).reshape(rows * table.shape[1], inputs)


def settings(kind: Kind, **changes: Any) -> dict[str, Any]:
    """What vptq's ``init_args`` hold of one module, but for its sizes, which -1 leaves to the model."""
    outliers, tall, entries = kind.few
    return {
        "bias": False,
        NORM: kind.norm,
        PERM: kind.perm,
        BOOKS: kind.books,
        GROUP: -1,
        IN: -1,
        "indices_as_float": False,
        "is_indice_packed": True,
        ENTRIES: [entries, 1 << kind.bits],
        RESIDUALS: [-1, 1 << kind.more if kind.more else -1],
        OUT: -1,
        APART: outliers,
        LENS: [tall, kind.vector],
        "vector_quant_dim": "out",
    } | changes


def config(bits: int, group_size: int = -1, **options: Any) -> dict[str, Any]:
    """Of any module of a model, by the last parts of their names; groups of VPTQ's are codebooks."""
    return shared(settings(Kind(bits, **options)))


def shared(own: Config) -> dict[str, Any]:
    return {"quant_method": METHOD, SHARED: {tail: dict(own) for tail in TAILS}}


def alone(own: Config, name: str = "model.layers.0.mlp.up_proj") -> dict[str, Any]:
    return {"quant_method": METHOD, LAYERS: {name: dict(own)}}


def first(config: Config) -> dict[str, Any]:
    """The settings of a module alone."""
    return dict(next(iter({**(config.get(LAYERS) or {}), **(config.get(SHARED) or {})}.values())))


def said(config: Config) -> Kind:
    own = first(config)
    (tall, vector), (few, entries), (_, residuals) = own[LENS], own[ENTRIES], own[RESIDUALS]
    more = residuals.bit_length() - 1 if residuals > 0 else 0
    outliers = (own[APART], tall, few)
    return Kind(entries.bit_length() - 1, more, vector, own[BOOKS], outliers, own[PERM], own[NORM])


def config_of(config: Config, module: str) -> dict[str, Any]:
    layers, tails = config.get(LAYERS) or {}, config.get(SHARED) or {}
    own = layers.get(module, tails.get(module.rpartition(".")[2]))
    return dict(config) if own is None else alone(own, module)


def group_size(config: Config, in_features: int) -> int:
    return in_features


def stream(fields: np.ndarray, bits: int) -> np.ndarray:
    """int32 [..., words] of fields [..., n], lowest bits first; the last word ends in zeros."""
    wide = (fields[..., None].astype(np.int64) >> np.arange(bits)) & 1
    flat = wide.reshape(*fields.shape[:-1], -1)
    room = np.pad(flat, [(0, 0)] * (flat.ndim - 1) + [(0, -flat.shape[-1] % 32)])
    words = (room.reshape(*flat.shape[:-1], -1, 32) << np.arange(32)).sum(-1)
    return words.astype(np.uint32).view(np.int32)


def fields(words: np.ndarray, bits: int, count: int) -> np.ndarray:
    """int64 [..., count]."""
    flat = ((words.view(np.uint32)[..., None] >> np.arange(32, dtype=np.uint32)) & 1).reshape(*words.shape[:-1], -1)
    own = flat[..., : count * bits].reshape(*words.shape[:-1], count, bits).astype(np.int64)
    return np.asarray((own << np.arange(bits)).sum(-1))


def halves(numbers: np.ndarray) -> Array:
    """Numbers of 16 bits as VPTQ stores them, so that those of the upper half are negative."""
    return Array.of(np.ascontiguousarray(numbers).astype(np.uint16).view(np.int16))


def joined(named: Iterable[tuple[str, Array | None]]) -> dict[str, Array]:
    return {name: array for name, array in named if array is not None}


def flat(tables: Array | None) -> Array | None:
    """Tables [books, entries, vector] as the weight of an embedding has them."""
    return tables and Array(tables.dtype, np.ascontiguousarray(tables.bits.reshape(len(tables.bits), -1)))


def laid(
    kind: Kind,
    codes: np.ndarray,
    tables: Array,
    *,
    residuals: tuple[np.ndarray, Array] | None = None,
    outliers: tuple[np.ndarray, Array] | None = None,
    perm: np.ndarray | None = None,
    norm: tuple[Array, Array] | None = None,
) -> dict[str, Array]:
    """The tensors of codes [books, rows, group] of tables [books, entries, vector], and of what else there is."""
    added, res_tables = residuals if residuals is not None else (np.zeros_like(codes), None)
    few, few_tables = outliers if outliers is not None else (None, None)
    scales, biases = norm if norm is not None else (None, None)
    return joined(
        [
            (INDICES, Array.of(stream(codes | (added << kind.bits), kind.total))),
            (TABLES, flat(tables)),
            (RES_TABLES, flat(res_tables)),
            (FEW_INDICES, None if few is None else halves(few[None])),
            (FEW_TABLES, few_tables and Array(few_tables.dtype, few_tables.bits.reshape(1, -1))),
            (ORDER, None if perm is None else halves(perm)),
            (SCALES, scales),
            (BIASES, biases),
        ]
    )


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 8) -> dict[str, Array]:
    """Vectors of one weight each, and one codebook in which a code stands for itself; there are no groups to scale."""
    line = Array.of(np.arange(1 << bits, dtype=np.float32).reshape(1, -1, 1))
    return laid(Kind(bits, 0, 1, perm=False, norm=False), codes[None], line)


def parts(config: Config, tensors: Tensors) -> Vectors:
    """A sound module taken apart."""
    kind, own, tables = said(config), first(config), tensors[TABLES]
    outliers, tall, _ = kind.few
    books, rows = tensors[INDICES].shape[:2]
    inputs = own.get(IN, -1)
    if inputs == -1:
        told = next((tensors[name].shape[0] for name in (SCALES, ORDER) if name in tensors), None)
        inputs = outliers + books * own[GROUP] if told is None else told
    out = own.get(OUT, -1)
    both = fields(tensors[INDICES].bits, kind.total, kind.group(inputs))

    def floats(name: str, *shape: int) -> np.ndarray | None:
        return tensors[name].float64().reshape(shape) if name in tensors else None

    def unsigned(name: str) -> np.ndarray | None:
        return tensors[name].bits.view(np.uint16).astype(np.int64) if name in tensors else None

    few = unsigned(FEW_INDICES)
    return Vectors(
        q=both & ((1 << kind.bits) - 1),
        e=tables.float64().reshape(books, -1, kind.vector),
        dtype=tables.dtype,
        out=rows * kind.vector if out == -1 else out,
        p=both >> kind.bits if kind.more else None,
        r=floats(RES_TABLES, books, -1, kind.vector),
        o=None if few is None else few[0],
        t=floats(FEW_TABLES, -1, tall),
        perm=unsigned(ORDER),
        s=floats(SCALES, -1),
        b=floats(BIASES, -1),
    )
