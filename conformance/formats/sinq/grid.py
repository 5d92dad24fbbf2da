"""The grid of SINQ."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ...bits.array import FLOATS, Array
from ...bits.rounding import nearest
from .. import grid as common
from ..covering import Options, rows
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from .packing import LEVELS, PACKINGS, TAKEN, crossed, described, laid, meta, packed_apart

SMOKE = "4bit-float16"
OPTIONS: Options = {
    "bits": (4, 8, 3, 2, 1, 6, 5, 1.58),
    "size": (64, 32, 16),
    "dtype": FLOATS,
    "compute": FLOATS,
    "scales": ("ordinary", *common.SCALE_KINDS),
    "zeros": ("whole", "real", "one"),
    "columns": ("real", "ones"),
    "output": (None, *FLOATS),
    "bias": (None, "real"),
}
_PLACES = {"float16": 10, "bfloat16": 7, "float32": 23}


def grid() -> Iterator[Unmade]:
    for bits, compute in product(PACKINGS, FLOATS):
        yield _sample(f"{bits}bit-{compute}", bits=bits, compute=compute)
    for said in TAKEN:
        yield _sample(f"said-{said}", bits=said)
    for dtype, compute in product(FLOATS, FLOATS):
        yield _sample(f"{dtype}-as-{compute}", dtype=dtype, compute=compute)
        yield _sample(f"{dtype}-as-{compute}-one-zero", dtype=dtype, compute=compute, zeros="one")
    for bits, compute in product((4, 3), FLOATS):
        yield _sample(f"{bits}bit-tiles-{compute}", bits=bits, compute=compute, tiles=True, size=32)
        yield _sample(f"{bits}bit-packed-scales-{compute}", bits=bits, compute=compute, apart=True, size=32)
        yield _sample(
            f"{bits}bit-tiles-packed-scales-{compute}", bits=bits, compute=compute, apart=True, tiles=True, size=32
        )
    yield _sample("tiles-one-zero", tiles=True, zeros="one", size=32)
    yield _sample("packed-scales-one-zero", apart=True, zeros="one", size=32)
    for kind, dtype in product(LEVELS, FLOATS):
        yield _sample(f"{kind}-{dtype}", bits=int(kind[-1]), kind=kind, dtype=dtype)
        yield _sample(f"{kind}-tiles-{dtype}", bits=int(kind[-1]), kind=kind, dtype=dtype, tiles=True, size=16)
        yield _sample(f"{kind}-packed-scales-{dtype}", bits=int(kind[-1]), kind=kind, dtype=dtype, apart=True)
    for bits, compute in product((3, 5, 6), FLOATS):
        yield _sample(f"{bits}bit-viewed-as-{compute}", bits=bits, compute=compute, as_float=True)
    for size in (8, 16, 32, 128, 256):
        yield _sample(f"g{size}", size=size)
    for dtype, compute in product(FLOATS, FLOATS):
        yield _sample(f"inputs-of-one-{dtype}-as-{compute}", dtype=dtype, compute=compute, columns="ones")
    # Rows of groups that do not fill their words.
    yield _sample("3bit-one-output", bits=3, size=40, shape=(1, 40))
    yield _sample("5bit-seven-rows", bits=5, size=32, shape=(7, 32))
    for name, dtype, options in common.variations():
        yield _sample(name, size=32, dtype=dtype, **options)
    for name, ((out, inputs), size) in common.REAL_SIZES.items():
        yield _sample(name, size=inputs if size == -1 else size, shape=(out, inputs), real_size=True)
    for row in rows(OPTIONS, (), ()):
        yield _sample(common.combined({key: _said(key, value) for key, value in row.items()}), **row)


def _said(key: str, value: Any) -> Any:
    if key == "columns":
        return None if value == "real" else "inputs-of-one"
    return {"compute": f"as-{value}", "zeros": f"{value}-zeros"}.get(key, value)


@unmade
def _sample(
    name: str,
    *,
    bits: float = 4,
    size: int = 64,
    dtype: str = "float16",
    compute: str | None = None,
    kind: str = "",
    tiles: bool = False,
    apart: bool = False,
    zeros: str = "real",
    columns: str = "real",
    as_float: bool = False,
    **options: Any,
) -> Sample:
    draw, (out, inputs) = Draw(f"sinq-{name}"), options.get("shape", (common.OUT, common.IN))
    compute, width = compute or dtype, int(TAKEN.get(bits, bits))
    codes = draw.below(1 << int(bits + 0.5), out, inputs)
    count = codes.size // size
    across = _columns(draw, dtype, columns, out // size if tiles else 1, inputs)
    method = f"sinq_{kind}" + ("_quantAux" if apart else "")
    stored: dict[str, Array] = {}
    shapes: dict[str, list[int]] = {}
    found = {"scale": draw.scales(dtype, options.get("scales", "ordinary"), count)}
    found["zero"] = _one(dtype) if zeros == "one" else points(draw, dtype, zeros, width, count)
    if apart:
        for name_of, k in (("scale", count // 32), ("zero", 1)):
            single = found[name_of].shape == ()
            n = 1 if single else count // k
            x, s = draw.below(256, n, k), draw.scales(dtype, "ordinary", 1, k)
            m = draw.scales(dtype, "ordinary", 1, k)
            stored |= {
                f"meta.{name_of}.x": Array.of(x.astype(np.uint8)),
                f"meta.{name_of}.s": s,
                f"meta.{name_of}.m": m,
            }
            flat = packed_apart(x, s, m)
            due = [] if single else [count // size, size, 1] if tiles else [count, 1]
            shapes[f"{name_of}.shape"] = due
            found[name_of] = Array(dtype, _by_rows(flat.bits, inputs, size, tiles).reshape(() if single else -1))
    view = compute if as_float else None
    tensors = laid(codes, found["zero"], found["scale"], across, bits=width, group=size, tiles=tiles, as_float=view)
    if apart:
        tensors = {leaf: tensors[leaf] for leaf in ("W_q", "meta.scale2")} | stored
    own = meta(bits, size, (out, inputs), compute=compute, method=method, as_float=as_float, shapes=shapes)
    parts = crossed(codes, found["zero"], found["scale"], across, width, size, compute, method)
    return common.sample(name, draw, described(own), tensors, parts, options)


def _by_rows(flat: np.ndarray, inputs: int, group: int, tiles: bool) -> np.ndarray:
    """Numbers as they lie, to one a group in row order."""
    if not tiles or flat.size == 1:
        return flat
    return np.ascontiguousarray(flat.reshape(-1, inputs // group, group).transpose(0, 2, 1)).ravel()


def _columns(draw: Draw, dtype: str, kind: str, bands: int, inputs: int) -> Array:
    """Ones, or numbers of every mantissa from 1/4 to 2, some of them negative."""
    if kind == "ones":
        return nearest(np.ones((bands, inputs)), dtype)
    found = draw.scales(dtype, "ordinary", bands, inputs)
    bits = found.bits.dtype.type
    exponent, mantissa = draw.below(3, bands, inputs), found.bits & bits((1 << _PLACES[dtype]) - 1)
    one = 15 if dtype == "float16" else 127
    signs = (draw.below(8, bands, inputs) == 0).astype(found.bits.dtype) << bits(8 * found.bits.itemsize - 1)
    return Array(dtype, mantissa | ((exponent + one - 2).astype(found.bits.dtype) << bits(_PLACES[dtype])) | signs)


def _one(dtype: str) -> Array:
    """A number that two of the dtypes round."""
    return Array(dtype, nearest(np.array([7.30078125 + 2.0**-20]), dtype).bits.reshape(()))


def points(draw: Draw, dtype: str, kind: str, bits: int, count: int) -> Array:
    """Zero points that are codes, or somewhere about them, of every mantissa."""
    if kind == "whole":
        return nearest(draw.below(1 << bits, count).astype(np.float64), dtype)
    found = draw.scales(dtype, "ordinary", count)
    # Exponents from 2**-4 to 2**7 in place of 2**-10 to 2.
    signs = draw.below(8, count) == 0
    moved = found.bits + found.bits.dtype.type(6 << _PLACES[dtype])
    return Array(dtype, moved | (signs.astype(found.bits.dtype) << (8 * found.bits.itemsize - 1)))
