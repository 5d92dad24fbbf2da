"""The grid of FP8."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ...bits.array import FLOATS, Array
from ...bits.floats import E4M3, E8M0
from .. import grid as common
from ..covering import Apart, Options, rows
from ..dialects import deepseek
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from ..scaled import Scaled
from . import packing

SMOKE = "b128x128-float32"
LEGAL = np.flatnonzero(np.isfinite(E4M3))
BLOCKS = ((128, 128), (32, 32), (1, 32), (1, 128), (64, 16), (8, 256), (96, 128))
# Blocks by what names of rows call them.
NAMED: dict[str, Any] = {
    "matrix": None,
    "channel": "channel",
    "1x32": (1, 32),
    "32x32": (32, 32),
    "128x128": (128, 128),
}
OPTIONS: Options = {
    "writer": ("fp8", "modelopt", "compressed", packing.FBGEMM),
    "block": tuple(NAMED),
    "dtype": (*FLOATS, *packing.BYTES),
    "scales": ("ordinary", *common.SCALE_KINDS),
    "output": (None, *FLOATS),
    "bias": (None, "zero", "real"),
    "shape": ((128, 256), (72, 256)),
}
THREEFOLD = ("writer", "block", "dtype")
_UNWRITTEN = "no producer writes it"
_INFINITE = "a scale becomes infinite there, and its product with a code of 0 some NaN"
APART: Apart = (
    *(({"dtype": dtype, "scales": kind}, "bytes are exponents") for dtype in packing.BYTES
      for kind in common.SCALE_KINDS),
    *(({"dtype": dtype, "block": block}, _UNWRITTEN) for dtype in packing.BYTES for block in ("matrix", "channel")),
    *(({"writer": packing.FBGEMM, "block": block}, _UNWRITTEN) for block in NAMED if block != "channel"),
    *(({"writer": packing.FBGEMM, "dtype": dtype}, _UNWRITTEN) for dtype in packing.BYTES),
    *(({"writer": "modelopt", "block": block}, _UNWRITTEN) for block in ("1x32", "32x32")),
    *(({"writer": "modelopt", "dtype": dtype}, _UNWRITTEN) for dtype in OPTIONS["dtype"] if dtype != "float32"),
    *(({"writer": "compressed", "dtype": dtype}, _UNWRITTEN) for dtype in packing.BYTES),
    *(({"writer": "modelopt", "output": "float16", "scales": kind}, _INFINITE) for kind in ("huge", "any-finite")),
)  # fmt: skip
# Of matrices that the block does not divide: rows, columns, both, and a matrix smaller than one block.
RAGGED = {"rows": (72, 64), "columns": (64, 72), "both": (40, 100), "smaller": (24, 16)}


def grid() -> Iterator[Unmade]:
    for block, dtype in product(BLOCKS, FLOATS):
        yield _sample(f"b{block[0]}x{block[1]}-{dtype}", block, dtype, shape=(128, 256))
    for name, shape in RAGGED.items():
        yield _sample(f"ragged-{name}", (32, 32), "float32", shape=shape)
        yield _sample(f"ragged-{name}-e8m0", (32, 32), "float8_e8m0fnu", shape=shape)
    for block, dtype in product(((1, 32), (32, 32), (128, 128)), ("float8_e8m0fnu", "uint8")):
        yield _sample(f"e8m0-b{block[0]}x{block[1]}-{dtype}", block, dtype, shape=(128, 256))
    for dtype in FLOATS:
        yield _sample(f"tensor-{dtype}", None, dtype)
        yield _sample(f"channel-{dtype}", "channel", dtype)
    for algorithm, kind in (("FP8", None), ("FP8_PER_CHANNEL_PER_TOKEN", "channel"), ("fp8_pb_wo", (128, 128))):
        for output in (None, "float32", "float16"):
            name = f"modelopt-{algorithm.lower()}-to-{output or 'its-own'}"
            yield _sample(name, kind, "float32", config=packing.modelopt(algorithm), output=output, shape=(160, 256))
    yield _sample("modelopt-mxfp8", (1, 32), "uint8", config=packing.modelopt("MXFP8"))
    yield from _compressed()
    yield from _fbgemm()
    yield from _deepseek()
    for name, dtype, options in common.variations():
        yield _sample(name, (32, 32), dtype, **options)
    for name, shape in (("7b-down_proj", (8, 11008)), ("7b-gate_proj", (11008, 32)), ("moe-expert", (768, 1408))):
        yield _sample(name, (128, 128), "float32", shape=shape, real_size=True)
    for row in rows(OPTIONS, THREEFOLD, APART):
        own = {key: value for key, value in row.items() if key not in ("writer", "block", "dtype")}
        config = _written(row["writer"], row["block"])
        yield _sample(common.combined(row), NAMED[row["block"]], row["dtype"], config=config, **own)


def _written(writer: str, block: str) -> dict[str, Any] | None:
    """The config of a row; None for that of transformers, which its block makes."""
    if writer == packing.FBGEMM:
        return packing.fbgemm()
    if writer == "modelopt":
        algorithms = {"matrix": "FP8", "channel": "FP8_PER_CHANNEL_PER_TOKEN", "128x128": "fp8_pb_wo"}
        return packing.modelopt(algorithms[block])
    if writer == "fp8":
        return None
    form, said = "float-quantized", {"matrix": "tensor", "channel": "channel", "1x32": "group"}.get(block, "block")
    changes: dict[str, Any] = {"group_size": 32} if said == "group" else {}
    return packing.compressed(
        form, said, **changes | ({"block_structure": list(NAMED[block])} if said == "block" else {})
    )


def _compressed() -> Iterator[Unmade]:
    form = "float-quantized"
    for dtype in FLOATS:
        yield _sample(f"ct-tensor-{dtype}", None, dtype, config=packing.compressed(form, "tensor"))
        yield _sample(f"ct-channel-{dtype}", "channel", dtype, config=packing.compressed(form, "channel"))
        block = packing.compressed(form, "block", block_structure=[32, 32])
        yield _sample(f"ct-block-{dtype}", (32, 32), dtype, config=block)
        yield _sample(f"ct-group-{dtype}", (1, 32), dtype, config=packing.compressed(form, "group", group_size=32))
    ragged = packing.compressed(form, "block", block_structure=[32, 32])
    yield _sample("ct-ragged", (32, 32), "bfloat16", config=ragged, shape=RAGGED["both"])
    for output in FLOATS:
        channel = packing.compressed(form, "channel")
        yield _sample(f"ct-channel-to-{output}", "channel", "bfloat16", config=channel, output=output)
    mxfp8 = packing.compressed("mxfp8-quantized", "group", group_size=32)
    yield _sample("ct-mxfp8", (1, 32), "uint8", config=mxfp8)


def _fbgemm() -> Iterator[Unmade]:
    for dtype in FLOATS:
        yield _sample(f"fbgemm-{dtype}", "channel", dtype, config=packing.fbgemm())
    for output in FLOATS:
        yield _sample(f"fbgemm-to-{output}", "channel", "float32", config=packing.fbgemm(), output=output)
    yield _sample("fbgemm-one-output", "channel", "float32", config=packing.fbgemm(), shape=(1, 100))


def _deepseek() -> Iterator[Unmade]:
    """Scales called ``scale``: V4's blocks, those of V4.1, whole and cut short, and scales of rows."""
    small, ragged = "float8_e8m0fnu", RAGGED["both"]
    for block, output in product(((128, 128), (32, 32)), (None, *FLOATS)):
        name = f"deepseek-b{block[0]}-to-{output or 'its-own'}"
        yield _sample(name, block, small, config=deepseek.config(block), output=output, shape=(128, 256))
    yield _sample("deepseek-ragged", (32, 32), small, config=deepseek.config((32, 32)), shape=ragged)
    yield _sample("deepseek-float32", (128, 128), "float32", config=deepseek.config(), shape=(160, 256))
    yield _sample("deepseek-of-rows", (1, 32), small, config=deepseek.config((32, 32)))


@unmade
def _sample(name: str, block: Any, dtype: str, **options: Any) -> Sample:
    draw, (out, in_features) = Draw(f"fp8-{name}"), options.get("shape", (common.OUT, common.IN))
    config = options.get("config") or packing.blocks(block if isinstance(block, tuple) else None)
    whole = {None: (out, in_features), "channel": (1, in_features)}.get(block, block)
    rows, columns = packing.grid(whole, out, in_features)
    codes = LEGAL[draw.below(len(LEGAL), out, in_features)]
    modelopt, compressed = config["quant_method"] == "modelopt", packing.is_compressed(config)
    if dtype in packing.BYTES:
        scales = Array(dtype, (draw.below(24, rows, columns) + 110).astype(np.uint8))
        values = E8M0[scales.bits]
    else:
        scales = draw.scales(dtype, options.get("scales", "ordinary"), rows, columns)
        values = scales.float64()
    kept = FLOATS if compressed else ("float16", "bfloat16")
    fbgemm = config["quant_method"] == packing.FBGEMM
    own = dtype if dtype in kept and not modelopt and not fbgemm else "bfloat16"
    tensors = packing.pack(codes, codes, scales)
    if name.startswith("deepseek"):
        tensors = {"weight": tensors["weight"], "scale": scales}
    if modelopt:
        shape = {None: (), "channel": (rows,)}.get(block, (rows, 1, columns, 1) if block == (128, 128) else None)
        stored = scales if shape is None else Array(dtype, scales.bits.reshape(shape))
        tensors = {"weight": tensors["weight"], "weight_scale": stored}
    if fbgemm:
        tensors = {"weight": tensors["weight"], "weight_scale": scales}
    if compressed:
        # One scale has one axis.
        one = Array(scales.dtype, scales.bits.reshape(1)) if block is None else scales
        tensors = {"weight": tensors["weight"], "weight_scale": one}
    return common.sample(name, draw, config, tensors, Scaled(codes, E4M3, values, whole, own, modelopt), options)
