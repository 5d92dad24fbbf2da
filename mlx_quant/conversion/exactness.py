"""How exact a conversion is, in sentences for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import mlx.core as mx

from ..checkpoint.modules import PackedModule
from ..packings.registry import PACKINGS
from .seam import Step


def exactness(modules: Mapping[str, PackedModule], steps: Sequence[Step]) -> list[str]:
    """What becomes of the packed modules' numbers.

    Args:
        modules: the checkpoint's.
        steps: what is to be written.
    """
    return [*_dense(modules, steps), *_packed(modules, steps)]


def _dense(modules: Mapping[str, PackedModule], steps: Sequence[Step]) -> Iterator[str]:
    dense = [(modules[step.name], _dtype(step, "weight")) for step in steps if step.kind == "dense"]
    own = sum(module.dtype == dtype for module, dtype in dense)
    if own:
        yield f"{own} modules dense: each weight is, bit for bit, what the format means"
    if rest := {dtype for module, dtype in dense if module.dtype != dtype}:
        yield f"{len(dense) - own} modules dense: each weight is rounded once, to {_names(rest)}, as asked for"


def _packed(modules: Mapping[str, PackedModule], steps: Sequence[Step]) -> Iterator[str]:
    packed = [step for step in steps if step.kind == "affine"]
    twice = [step for step in packed if _rounds_twice(modules[step.name])]
    if twice:
        yield (
            f"{len(twice)} modules packed: codes are kept, and scales as far as their dtype is; their format rounds "
            "twice and MLX once, so weights may be next to what it means; --target dense keeps them exact"
        )
    packed = [step for step in packed if step not in twice]
    if not packed:
        return
    cast = [step for step in packed if _dtype(step, "scales") in (mx.float16, mx.bfloat16) and _narrowed(step, modules)]
    kept = f"codes are kept, scales rounded to {_names({_dtype(step, 'scales') for step in cast})}, as asked for"
    start = f"{len(packed)} modules packed: {kept if cast else 'codes and scales are kept'}"
    biased = [step for step in packed if f"{step.name}.biases" in step.outputs]
    inexact = [step for step in biased if not _holds(step, modules[step.name])]
    if all(modules[step.name].scheme.sym for step in inexact):
        sure = "as are the biases if it is symmetric, as it says" if inexact else "and nothing is rounded"
        yield start if cast else f"{start}, {sure}"
        return
    few = "" if len(inexact) == len(packed) else f" in {len(inexact)} of them"
    yield (
        f"{start}; a zero point becomes a bias{few}, -zero x scale, which rounds once, by half a unit in its last "
        "place at most; --params-dtype float32 keeps it exact"
    )


def _rounds_twice(module: PackedModule) -> bool:
    return bool(getattr(PACKINGS[module.scheme.packing], "ROUNDS_TWICE", False))


def _narrowed(step: Step, modules: Mapping[str, PackedModule]) -> bool:
    return _stored(modules[step.name]) != _dtype(step, "scales")


def _holds(step: Step, module: PackedModule) -> bool:
    """Whether biases hold every product of a code and a scale: in float32 those of half precision fit, and stored ones
    stay as they are."""
    dtype, stored = _dtype(step, "biases"), _stored(module)
    if getattr(PACKINGS[module.scheme.packing], "BIASES_KEPT", False):
        return dtype in (stored, mx.float32)
    return dtype == mx.float32 and stored != mx.float32


def _stored(module: PackedModule) -> mx.Dtype:
    """Of its scales."""
    return module.scales or module.dtype


def _dtype(step: Step, leaf: str) -> mx.Dtype:
    return step.outputs[f"{step.name}.{leaf}"][1]


def _names(dtypes: set[mx.Dtype]) -> str:
    return " and ".join(sorted(str(dtype).rpartition(".")[2] for dtype in dtypes))
