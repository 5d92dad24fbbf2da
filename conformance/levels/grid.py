"""The grid: one small module for every option of a format, written down rather than drawn.

Every option meets every other one that it could interact with; what random draws add to this is in the generated
packs. The modules are packed from known codes, zero points and scales, and the expected bits come from those, so no
decoder stands behind them. All numbers come from SHAKE-256 of the module's name: the same for everybody, for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import shake_256
from itertools import product
from typing import Any

import numpy as np

from ..bits.array import Array
from ..cases.question import Question, flags_of
from ..formats.awq_gemm import awq_tensors
from ..formats.gptq import gptq_tensors
from ..formats.parts import Parts

OUT, IN = 96, 256
SCALE_DTYPES = ("float16", "bfloat16", "float32")
MAPS = ("no-g_idx", "sequential", "act-order", "arbitrary")
SHAPES = {
    "square": (64, 64),
    "groups-times-8": (64, 256),
    "one-word": (8, 32),
    "odd-width": (40, 256),
    "wide": (32, 512),
    "tall": (256, 32),
}
SOURCE = "the contract: RN(s * (q - z)) of the numbers it was packed from"

# Exponent bits, mantissa bits, and the biased exponent of 1.
_LAYOUT = {"float16": (5, 10, 15), "bfloat16": (8, 7, 127), "float32": (8, 23, 127)}


class Draw:
    """Numbers that depend on a name alone."""

    def __init__(self, name: str) -> None:
        self._name, self._taken = name, 0

    def below(self, limit: int, *shape: int) -> np.ndarray:
        """int64 in [0, limit); the bias of a remainder of 64 bits is of no concern here."""
        self._taken += 1
        size = int(np.prod(shape))
        data = shake_256(f"{self._name}/{self._taken}".encode()).digest(8 * size)
        return (np.frombuffer(data, "<u8") % np.uint64(limit)).astype(np.int64).reshape(shape)

    def shuffled(self, values: np.ndarray) -> np.ndarray:
        return values[np.argsort(self.below(2**62, len(values)), kind="stable")]

    def scales(self, dtype: str, kind: str, *shape: int) -> Array:
        """Finite scales of a kind: exponents around 2**-8, or at an end of the range."""
        exponent_bits, mantissa_bits, one = _LAYOUT[dtype]
        top = (1 << exponent_bits) - 2
        low, count = {
            "ordinary": (one - 10, 12),
            "negative": (one - 10, 12),
            "subnormal": (0, 1),
            "huge": (top - 4, 5),
            "zero": (0, 1),
            "any-finite": (0, top + 1),
        }[kind]
        exponent = self.below(count, *shape) + low
        mantissa = self.below(1 << mantissa_bits, *shape) * (kind != "zero")
        sign = self.below(2, *shape) if kind in ("zero", "any-finite", "huge") else np.full(shape, kind == "negative")
        bits = (sign.astype(np.int64) << (exponent_bits + mantissa_bits)) | (exponent << mantissa_bits) | mantissa
        return Array(dtype, bits.astype(np.uint32 if dtype == "float32" else np.uint16))


def grid() -> Iterator[Question]:
    """All of it, in the order of the formats."""
    for size, kind, sym, dtype in product((32, 64, 128, -1), MAPS, (True, False), SCALE_DTYPES):
        if (size, kind) != (-1, "arbitrary"):
            yield _gptq(f"g{size}-{kind}-{'sym' if sym else 'asym'}-{dtype}", size, kind, sym, dtype)
    for kind in ("no-g_idx", "sequential", "act-order"):
        yield _gptq(f"zero-point-0-{kind}", 32, kind, False, "float16", zero_point_0=True)
    for kind in ("sequential", "act-order"):
        yield _gptq(f"ragged-{kind}", 96, kind, False, "float16")
    for name, spelling in (
        ("checkpoint_format", {"checkpoint_format": "gptq"}),
        ("format", {"format": "gptq"}),
        ("static_groups", {"static_groups": False, "true_sequential": True, "damp_percent": 0.01}),
    ):
        yield _gptq(f"config-{name}", 32, "sequential", False, "float16", config=spelling)
    for size, dtype in product((32, 64, 128, -1), SCALE_DTYPES):
        yield _awq(f"g{size}-{dtype}", size, dtype)
    for name, config in (
        ("legacy", {"w_bit": 4, "q_group_size": 32, "version": "GEMM", "zero_point": True}),
        ("legacy-with-method", {"quant_method": "awq", "w_bit": 4, "q_group_size": 64, "version": "GEMM"}),
    ):
        yield _awq(f"config-{name}", config["q_group_size"], "float16", replaced=config)  # type: ignore[arg-type]
    for make in (_plain_gptq, _awq):
        for dtype, kind in product(SCALE_DTYPES, ("negative", "subnormal", "huge", "zero", "any-finite")):
            yield make(f"{kind}-scales-{dtype}", 32, dtype, scales=kind)
        for dtype, output in product(SCALE_DTYPES, SCALE_DTYPES):
            if dtype != output:
                yield make(f"{dtype}-to-{output}", 32, dtype, scales="any-finite", output=output)
        for name, shape in SHAPES.items():
            yield make(f"shape-{name}", 32, "float16", shape=shape)
        for bias in ("zero", "real"):
            yield make(f"bias-{bias}", 32, "float16", bias=bias)


def _plain_gptq(name: str, size: int, dtype: str, **options: Any) -> Question:
    return _gptq(name, size, "sequential", False, dtype, **options)


def _gptq(
    name: str, size: int, kind: str, sym: bool, dtype: str, *, zero_point_0: bool = False, **options: Any
) -> Question:
    draw, out, in_features = _start("gptq", name, options)
    groups = 1 if size == -1 else -(-in_features // size)
    consecutive = np.arange(in_features) // (in_features if size == -1 else size)
    g = consecutive
    if kind == "act-order":
        g = draw.shuffled(consecutive)
    elif kind == "arbitrary":
        g = draw.below(groups, in_features)
    # A zero point of 0 is stored as all ones, on which upstream's readers part: questions of its own.
    z = draw.below(16, groups, out) if zero_point_0 else 1 + draw.below(15, groups, out)
    z = np.full_like(z, 8) if sym else z
    q = draw.below(16, out, in_features)
    scales = draw.scales(dtype, options.get("scales", "ordinary"), groups, out)
    desc_act = kind in ("act-order", "arbitrary")
    config = {"quant_method": "gptq", "bits": 4, "group_size": size, "desc_act": desc_act, "sym": sym}
    tensors = gptq_tensors(q, z, scales, None if kind == "no-g_idx" else g)
    return _question(
        "gptq", name, draw, config | options.get("config", {}), tensors, Parts.of(q, z, scales, g), options
    )


def _awq(name: str, size: int, dtype: str, **options: Any) -> Question:
    draw, out, in_features = _start("awq", name, options)
    groups = 1 if size == -1 else in_features // size
    q, z = draw.below(16, out, in_features), draw.below(16, groups, out)
    scales = draw.scales(dtype, options.get("scales", "ordinary"), groups, out)
    config = {"quant_method": "awq", "bits": 4, "group_size": size, "version": "gemm", "zero_point": True}
    g = np.arange(in_features) // (in_features if size == -1 else size)
    found = Parts.of(q, z, scales, g)
    return _question("awq", name, draw, options.get("replaced", config), awq_tensors(q, z, scales), found, options)


def _start(format: str, name: str, options: dict[str, Any]) -> tuple[Draw, int, int]:
    return Draw(f"{format}-{name}"), *options.get("shape", (OUT, IN))


def _question(
    format: str,
    name: str,
    draw: Draw,
    config: dict[str, Any],
    tensors: dict[str, Array],
    parts: Parts,
    options: dict[str, Any],
) -> Question:
    scales, output = tensors["scales"], options.get("output")
    if bias := options.get("bias"):
        kind = "zero" if bias == "zero" else "ordinary"
        tensors = tensors | {"bias": draw.scales(scales.dtype, kind, parts.q.shape[0])}
    flags = flags_of(config, tensors, output)
    if "scales" in options:
        flags |= {f"{options['scales']}-scales"}
    if format == "gptq" and (parts.z == 0).any():
        flags |= {"zero-point-0"}
    id = f"synthetic/{format}-{name}"
    return Question(id, "synthetic", config, tensors, flags, output, parts.dense(output), source=SOURCE)
