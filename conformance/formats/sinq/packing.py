"""SINQ, packed and taken apart in NumPy.

Sources: sinq 0.2.0, ``bitpack.py``, ``quantizer.py`` (``Quantizer.dequantize``, ``dq8``), ``dual_shift.py`` (how rows
and tiles are ordered) and ``patch_model.py`` (``save_weights_safetensors``: what is a tensor, and what is in JSON).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest, odd_sum
from ..folder import MODULES
from ..parts import Config, Tensors

METHOD, META = "sinq", "meta"
WIDTHS = (4, 8, 3, 2, 1, 5, 6)
# By width of a code: what it is called, codes a word, and the dtype of a word.
PACKINGS: dict[int, tuple[str, int, str]] = {
    8: ("8bit_u8", 1, "uint8"),
    6: ("6bit_32", 5, "int32"),
    5: ("5bit_32", 6, "int32"),
    4: ("4bit_u8", 2, "uint8"),
    3: ("3bit_32", 10, "int32"),
    2: ("2bit_u8", 4, "uint8"),
    1: ("1bit_u8", 8, "uint8"),
}
# Widths as they are said, where a code takes another number of bits.
TAKEN = {1.58: 2}
LEVELS: dict[str, tuple[float, ...]] = {
    "nf3": (
        *(-1.0, -0.5350227355957031, -0.2469314038753510, 0.0),
        *(0.1833375245332718, 0.3819939494132996, 0.6229856610298157, 1.0),
    ),
    "nf4": (
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ),
}
_BYTES: dict[str, Any] = {"uint8": np.uint8, "int32": np.int32}


@dataclass(frozen=True)
class Crossed:
    """``W = RN(RN'(RN'(RN"(v - z) * s) * c))``, all [out, in]: ``v`` is a code, or what it stands for.

    ``dtypes`` are those of the difference, of both products, and of the weight; ``params`` is that of the scales, and
    ``size`` the inputs of a group.
    """

    q: np.ndarray
    z: np.ndarray
    s: np.ndarray
    c: np.ndarray
    params: str
    dtypes: tuple[str, str, str]
    bits: int
    size: int
    levels: np.ndarray | None = None

    def with_(self, **changes: Any) -> Crossed:
        return replace(self, **changes)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.q.shape

    @property
    def dtype(self) -> str:
        return self.dtypes[2]

    def values(self) -> np.ndarray:
        return self.q.astype(np.float64) if self.levels is None else self.levels[self.q]

    def dense(self, dtype: str | None) -> Array:
        first, rest, own = self.dtypes
        with np.errstate(over="ignore", invalid="ignore"):
            difference = nearest(odd_sum(self.values(), -self.z), first).float64()
            product = nearest(difference * self.s, rest).float64()
            found = nearest(nearest(product * self.c, rest).float64(), own)
        return found if dtype in (None, own) else nearest(found.float64(), str(dtype))

    def step(self) -> np.ndarray:
        return np.abs(self.s * self.c)

    def triple(self) -> Grouped | None:
        """What MLX can hold where scales of inputs are 1, though it rounds once where the format rounds thrice."""
        return None if self.levels is not None or (self.c != 1).any() else Grouped(self)

    def formula(self, output: int, channel: int) -> str:
        at = (output, channel)
        v, z, s, c = (float(array[at]) for array in (self.values(), self.z, self.s, self.c))
        return f"(q - z) * s * c = ({v!r} - {z!r}) * {s!r} * {c!r}"


class Grouped:
    """Codes, and scales and offsets [groups, out] of neighbouring inputs."""

    def __init__(self, found: Crossed) -> None:
        self.q, self.bits, self.dtype = found.q, found.bits, found.params
        self.s, self._z = (array[:, :: found.size].T for array in (found.s, found.z))
        self.g = np.arange(found.shape[1]) // found.size

    def offsets(self) -> np.ndarray:
        return -self._z * self.s


def meta(
    bits: float,
    group: int | None,
    shape: tuple[int, int] = (1, 1),
    *,
    compute: str = "float16",
    method: str = "sinq_nogemlite",
    as_float: bool = False,
    shapes: dict[str, list[int]] | None = None,
) -> dict[str, Any]:
    """What the file says of one module."""
    name, _, word = PACKINGS[int(TAKEN.get(bits, bits))]
    return {
        "nbits": bits,
        "group_size": group,
        "shape": list(shape),
        **(shapes or {}),
        "awq_scale": None,
        "axis": 1,
        "packing": name,
        "method": method,
        "compute_dtype": f"torch.{compute}",
        "unpack_view_dtype": f"torch.{word}",
        "view_as_float": as_float,
    }


def described(own: dict[str, Any]) -> dict[str, Any]:
    """A config with such a description of a module whose name nobody knows."""
    said = {"nbits": int(own.get("nbits") or 4), "group_size": own.get("group_size"), "tiling_mode": "1D"}
    return {"quant_method": METHOD, **said, "modules_to_not_convert": None, MODULES: {"": {META: own}}}


def config(bits: int, group_size: int) -> dict[str, Any]:
    """The plainest one, but for the shape of the matrix."""
    return described(meta(bits, None if group_size == -1 else group_size))


def config_of(config: Config, module: str) -> dict[str, Any]:
    entries = config[MODULES]
    return dict(config) | {MODULES: {"": entries[module if module in entries else ""]}}


def said(config: Config) -> dict[str, Any]:
    found = (config.get(MODULES) or {}).get("")
    own = found.get(META) if isinstance(found, dict) else None
    return own if isinstance(own, dict) else {}


def group_size(config: Config, in_features: int) -> int:
    return int(said(config).get("group_size") or in_features)


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4) -> dict[str, Array]:
    """The plainest module of codes [out, in], and whole zero points and scales [groups, out]."""
    own = Array(scales.dtype, np.ascontiguousarray(scales.bits.T).ravel())
    whole = nearest(np.ascontiguousarray(zeros.T).ravel().astype(np.float64), scales.dtype)
    ones = nearest(np.ones((1, codes.shape[1])), scales.dtype)
    return laid(codes, whole, own, ones, bits=bits, group=codes.shape[1] // len(scales.bits))


def laid(
    codes: np.ndarray,
    zeros: Array,
    scales: Array,
    columns: Array,
    *,
    bits: int,
    group: int,
    tiles: bool = False,
    as_float: str | None = None,
) -> dict[str, Array]:
    """The tensors of codes [out, in], zero points (or one) and scales of groups in row order, columns [bands, in].

    With ``as_float`` words lie under that dtype.
    """
    words = packed(codes.reshape(-1, group), bits)
    if as_float is not None:
        kind = np.uint32 if as_float == "float32" else np.uint16
        words = Array(as_float, np.ascontiguousarray(words.bits).view(kind))
    across = (-1, 1, group) if tiles else (1, -1)
    return {
        "W_q": words,
        "meta.scale": Array(scales.dtype, in_order(scales.bits, codes.shape[1], group, tiles)),
        "meta.zero": zeros if zeros.shape == () else Array(
            zeros.dtype, in_order(zeros.bits, codes.shape[1], group, tiles)
        ),
        "meta.scale2": Array(columns.dtype, columns.bits.reshape(across)),
    }  # fmt: skip


def in_order(values: np.ndarray, inputs: int, group: int, tiles: bool) -> np.ndarray:
    """One number a group, in row order, to [rows, 1], or to tiles [tiles, group, 1]."""
    if not tiles:
        return np.ascontiguousarray(values.reshape(-1, 1))
    cut = values.reshape(-1, group, inputs // group).transpose(0, 2, 1)
    return np.ascontiguousarray(cut.reshape(-1, group, 1))


def packed(folded: np.ndarray, bits: int) -> Array:
    """Words of folded codes [rows, group]; rows are filled up where words are of 32 bits."""
    _, count, word = PACKINGS[bits]
    height = -(-len(folded) // count)
    rows = np.zeros((height * count, folded.shape[1]), np.int64)
    rows[: len(folded)] = folded
    planes = rows.reshape(count, height, -1) << (bits * np.arange(count)[::-1, None, None])
    return Array.of(planes.sum(axis=0).astype(_BYTES[word]))


def packed_apart(x: np.ndarray, s: Array, m: Array) -> Array:
    """What bytes [n, k] and floats [1, k] stand for, flat: a product and a sum, both rounded."""
    with np.errstate(over="ignore", invalid="ignore"):
        product = nearest(x.astype(np.float64) * s.float64(), s.dtype).float64()
        sums = nearest(odd_sum(product, np.broadcast_to(m.float64(), product.shape)), s.dtype)
    return Array(s.dtype, sums.bits.ravel())


def parts(config: Config, tensors: Tensors) -> Crossed:
    """A sound module taken apart."""
    own = said(config)
    bits = next(bits for bits, (name, _, _) in PACKINGS.items() if name == own["packing"])
    _, count, word = PACKINGS[bits]
    out, inputs = own["shape"]
    stored = np.ascontiguousarray(tensors["W_q"].bits).view(_BYTES[word]).astype(np.int64)
    group = stored.shape[1]
    planes = [(stored >> (bits * place)) & ((1 << bits) - 1) for place in reversed(range(count))]
    codes = np.concatenate(planes)[: out * inputs // group].reshape(out, inputs)
    columns = tensors["meta.scale2"]
    tiles = columns.bits.ndim == 3
    found = {}
    for name in ("scale", "zero"):
        if f"{name}.shape" in own:
            x, s, m = (tensors[f"meta.{name}.{leaf}"] for leaf in "xsm")
            flat = packed_apart(x.bits, s, m)
            flat = Array(flat.dtype, flat.bits.reshape(own[f"{name}.shape"]))
        else:
            flat = tensors[f"meta.{name}"]
        if tiles and flat.shape != ():
            cut = flat.bits.reshape(out // group, inputs // group, group).transpose(0, 2, 1)
            flat = Array(flat.dtype, np.ascontiguousarray(cut).ravel())
        found[name] = flat if flat.shape == () else Array(flat.dtype, flat.bits.ravel())
    across = Array(columns.dtype, columns.bits.reshape(-1, inputs))
    compute = str(own.get("compute_dtype", "torch.float16")).removeprefix("torch.")
    return crossed(codes, found["zero"], found["scale"], across, bits, group, compute, str(own["method"]))


def crossed(
    codes: np.ndarray, zeros: Array, scales: Array, columns: Array, bits: int, group: int, compute: str, method: str
) -> Crossed:
    """Codes [out, in], zero points (or one) and scales of groups in row order, scales of inputs [bands, in]."""
    params, out = scales.dtype, len(codes)
    kind = next((kind for kind in LEVELS if kind in method.lower()), None)
    wide = params if params == compute else "float32"
    single = zeros.shape == ()
    dtypes = (params,) * 3 if kind else (compute if single else wide, wide, compute)
    z = nearest(np.full(codes.shape, zeros.float64()), dtypes[0]).float64() if single else _over(zeros, codes, group)
    c = np.repeat(columns.float64(), out // len(columns.bits), axis=0)
    levels = None
    if kind:
        levels = nearest(nearest(np.array(LEVELS[kind]), "float32").float64(), params).float64()
    return Crossed(codes, z, _over(scales, codes, group), c, params, dtypes, bits, group, levels)


def _over(values: Array, codes: np.ndarray, group: int) -> np.ndarray:
    return np.repeat(values.float64().reshape(len(codes), -1), group, axis=1)
