"""What a conversion will write, settled before it writes: the form of every module, every bias, every byte."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import mlx.core as mx

from ..checkpoint.checkpoint import Checkpoint, Examined
from ..checkpoint.modules import PackedModule
from ..errors import ConversionError, MalformedCheckpoint, UnsupportedFormat
from ..files.folder import TensorInfo
from .architecture import Architecture, Shapes

Target = Literal["auto", "dense", "affine"]
FLOATS = {"float16": mx.float16, "bfloat16": mx.bfloat16, "float32": mx.float32}


@dataclass(frozen=True)
class Step:
    """One module or tensor to write: its name in the source, and what becomes of it."""

    name: str
    kind: Literal["dense", "affine", "plain"]
    outputs: Shapes
    parameters: int

    @property
    def nbytes(self) -> int:
        return sum(math.prod(shape) * dtype.size for shape, dtype in self.outputs.values())


@dataclass
class Plan:
    """All steps of a conversion, in file order.

    Attributes:
        target: ``"dense"`` or ``"affine"``; never ``"auto"``.
        steps: what to write.
        quantization: for an affine target, the ``"quantization"`` of mlx-lm's config.
        not_affine: modules that MLX's packed form cannot hold, and why.
        dropped: tensors that are left out, and why.
        notes: what a user should know of the result.
    """

    target: Literal["dense", "affine"]
    steps: list[Step]
    quantization: dict[str, Any] | None = None
    not_affine: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        return sum(step.nbytes for step in self.steps)


def make_plan(
    checkpoint: Checkpoint,
    architecture: Architecture | None,
    target: Target,
    dtype: mx.Dtype | None,
    params_dtype: mx.Dtype | None,
) -> Plan:
    """Decide what becomes of every tensor. Reads scales, zero points, group indices and biases, and so refuses
    whatever is wrong with them before anything is written; the codes are not read.

    Args:
        checkpoint: the source.
        architecture: the target model, or None if unknown; then every bias is kept.
        target: ``"auto"`` is affine if that loses nothing in any module, else dense.
        dtype: of decoded and plain float tensors; None leaves each its own.
        params_dtype: of affine scales and biases; None is the dtype of the scales.

    Raises:
        MalformedCheckpoint, UnsupportedFormat: as decoding does; ``unsupported-bias`` for a bias that is not zero and
            that the architecture has no parameter for.
        ConversionError: ``bad-target``, the architecture does not take packed modules.
    """
    dropped = _tied_head(checkpoint, architecture)
    modules = {name: module for name, module in checkpoint.modules.items() if name not in dropped}
    dense = {name: _dense(module, dtype) for name, module in modules.items()}
    plain = {info.name: _plain(info, architecture, dtype) for info in _plain_infos(checkpoint, modules)}
    unwanted = _unwanted(architecture, [*dense.values(), *plain.values()], modules)
    checkpoint.files.fetch(checkpoint.shards)
    examined = {name: checkpoint.examine(name) for name in modules}
    affine = {
        name: _native(modules[name], found, params_dtype) for name, found in examined.items() if not found.not_native
    }
    not_affine = {name: found.not_native for name, found in examined.items() if found.not_native}
    for name, module in modules.items():
        if f"{name}.bias" in unwanted:
            _require_zero(checkpoint, module, architecture)
            dropped[f"{name}.bias"] = "all zero, and the architecture has no such parameter"
            del plain[f"{name}.bias"]
    everything = dense | plain
    if target == "auto":
        target = "dense" if not_affine or not _takes(architecture, everything | affine) else "affine"
    elif target == "affine" and not _takes(architecture, everything | affine):
        name = architecture.name if architecture else ""
        raise ConversionError("bad-target", f"mlx-lm's {name} cannot load these modules packed; use target 'dense'")
    if target == "affine":
        everything |= affine
    plan = Plan("affine" if target == "affine" else "dense", _in_file_order(checkpoint, everything), dropped=dropped)
    if plan.target == "affine":
        plan.not_affine, plan.quantization = not_affine, _quantization({name: examined[name] for name in affine})
    plan.notes = list(_notes(plan, architecture))
    return plan


def _dense(module: PackedModule, dtype: mx.Dtype | None) -> Step:
    shape = (module.out_features, module.in_features)
    return Step(module.name, "dense", {f"{module.name}.weight": (shape, dtype or module.dtype)}, math.prod(shape))


def _native(module: PackedModule, examined: Examined, params_dtype: mx.Dtype | None) -> Step:
    """Float parameters are cast where that is asked for; codes, and parameters that are bytes, are not."""
    outputs = {
        f"{module.name}.{leaf}": (shape, params_dtype if params_dtype and dtype in FLOATS.values() else dtype)
        for leaf, (shape, dtype) in examined.parts.items()
    }
    return Step(module.name, "affine", outputs, module.out_features * module.in_features)


def _plain(info: TensorInfo, architecture: Architecture | None, dtype: mx.Dtype | None) -> Step:
    casts = dtype is not None and info.mlx_dtype in FLOATS.values()
    casts = casts and (architecture is None or architecture.casts(info.name))
    return Step(info.name, "plain", {info.name: (info.shape, dtype if casts and dtype else info.mlx_dtype)}, info.size)


def _plain_infos(checkpoint: Checkpoint, modules: Mapping[str, PackedModule]) -> Iterator[TensorInfo]:
    yield from checkpoint.plain.values()
    yield from (module.tensors["bias"] for module in modules.values() if "bias" in module.tensors)


def _tied_head(checkpoint: Checkpoint, architecture: Architecture | None) -> dict[str, str]:
    """A packed ``lm_head`` beside tied embeddings: the model computes its logits from the embeddings."""
    tied = checkpoint.config.get("tie_word_embeddings") and "lm_head" in checkpoint.modules
    if not tied or (architecture is not None and "lm_head.weight" in architecture.parameters):
        return {}
    return {"lm_head": "tie_word_embeddings is true: the embeddings are the output head"}


def _unwanted(architecture: Architecture | None, steps: list[Step], modules: Mapping[str, PackedModule]) -> set[str]:
    """Biases of packed modules that the architecture has no parameter for. Raises where anything else does not fit."""
    if architecture is None:
        return set()
    shapes = {name: shape for step in steps for name, shape in step.outputs.items()}
    biases = {f"{name}.bias" for name in modules}
    unwanted = biases.intersection(architecture.fit(shapes).extra)
    architecture.require({name: shape for name, shape in shapes.items() if name not in unwanted})
    return unwanted


def _require_zero(checkpoint: Checkpoint, module: PackedModule, architecture: Architecture | None) -> None:
    bias = checkpoint.tensor(f"{module.name}.bias")
    if mx.any(bias != 0).item():
        raise MalformedCheckpoint(
            "unsupported-bias",
            f"not zero, but mlx-lm's {architecture.name if architecture else ''} has no bias here; "
            "check model_type and the attention_bias and mlp_bias of config.json",
            where=f"{module.tensors['bias'].file}: {module.name}.bias",
        )


def _takes(architecture: Architecture | None, steps: Mapping[str, Step]) -> bool:
    """Whether mlx-lm's model loads these forms; it may not stack experts of which only some are packed, say."""
    if architecture is None:
        return True
    try:
        found = architecture.fit({name: shape for step in steps.values() for name, shape in step.outputs.items()})
    except UnsupportedFormat:
        return False
    return not (found.extra or found.missing)


def _in_file_order(checkpoint: Checkpoint, steps: Mapping[str, Step]) -> list[Step]:
    position = {name: number for number, name in enumerate(checkpoint.tensor_names)}

    def first(step: Step) -> int:
        module = checkpoint.modules.get(step.name)
        names = [info.name for info in module.tensors.values()] if module else [step.name]
        return min(position[name] for name in names)

    return sorted(steps.values(), key=first)


def _quantization(packed: Mapping[str, Examined]) -> dict[str, Any] | None:
    """mlx-lm's ``"quantization"``: the commonest parameters for all, and the modules that differ by name."""
    if not packed:
        return None
    counted = Counter(tuple(sorted(found.parameters.items())) for found in packed.values())
    common = dict(counted.most_common(1)[0][0])
    return common | {name: dict(found.parameters) for name, found in packed.items() if found.parameters != common}


def _notes(plan: Plan, architecture: Architecture | None) -> Iterator[str]:
    if architecture is None:
        yield "mlx-lm is not installed or has no such model: every bias is kept, also those that are all zero"
    if plan.not_affine:
        reasons = Counter(plan.not_affine.values())
        yield from (f"{count} modules are decoded to dense: {reason}" for reason, count in reasons.items())
    decoded = {dtype for step in plan.steps if step.kind != "plain" for _, dtype in step.outputs.values()}
    plain = {dtype for step in plan.steps if step.kind == "plain" for _, dtype in step.outputs.values()}
    halves = (decoded | plain) & {mx.float16, mx.bfloat16}
    if len(halves) > 1:
        yield "float16 and bfloat16 tensors together make MLX compute in float32; give dtype for one of them"
