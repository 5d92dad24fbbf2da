"""What a conversion will write, settled before it writes: the form of every module, every bias, every byte."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import mlx.core as mx

from ..checkpoint.checkpoint import ACT_ORDER, Checkpoint, Examined
from ..checkpoint.modules import PackedModule
from ..checkpoint.sources import ties_embeddings, wrapper_of
from ..errors import ConversionError, MalformedCheckpoint, UnsupportedFormat
from ..files.folder import FLOATS, TensorInfo
from ..models.architecture import Architecture
from ..weights.native import PERMUTATION, PERMUTED
from .exactness import exactness
from .seam import Seam, Step

Target = Literal["auto", "dense", "affine"]


@dataclass
class Plan:
    """All steps of a conversion, in file order.

    Attributes:
        target: ``"dense"`` or ``"affine"``; never ``"auto"``.
        steps: what to write.
        quantization: for an affine target, the ``"quantization"`` of mlx-lm's config.
        not_affine: modules that MLX's packed form cannot hold, and why.
        dropped: tensors that are left out, and why.
        changed: tensors that mlx-lm does not just move to a parameter as it loads, with what it computes.
        left_out: names of steps that mlx-lm makes no parameter from.
        notes: what a user should know of the result.
        exact: how exact it is, in sentences.
    """

    target: Literal["dense", "affine"]
    steps: list[Step]
    quantization: dict[str, Any] | None = None
    not_affine: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    exact: list[str] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        return sum(step.nbytes for step in self.steps)

    @property
    def memory(self) -> int:
        """Bytes of the parameters that mlx-lm makes of it."""
        unused = set(self.left_out)
        return sum(step.nbytes for step in self.steps if step.name not in unused)


def make_plan(
    checkpoint: Checkpoint,
    architecture: Architecture | None,
    target: Target,
    dtype: mx.Dtype | None,
    params_dtype: mx.Dtype | None,
    *,
    permute: bool = False,
) -> Plan:
    """Decide what becomes of every tensor. Reads scales, zero points, group indices and biases, and so refuses
    whatever is wrong with them before anything is written; the codes are not read.

    Args:
        checkpoint: the source.
        architecture: the target model, or None if unknown; then every bias is kept.
        target: ``"auto"`` is affine if that loses nothing in any module, else dense.
        dtype: of decoded and plain float tensors; None leaves each its own.
        params_dtype: of affine scales and biases; None is the dtype of the scales.
        permute: keep act-order modules packed, with the permutation of their inputs beside them, which plain mlx-lm
            does not load; else they are dense. Only where the architecture is known.

    Raises:
        MalformedCheckpoint, UnsupportedFormat: as decoding does; ``unsupported-bias`` for a bias that is not zero and
            that the architecture has no parameter for.
        ConversionError: ``bad-target``, the architecture does not take packed modules.
    """
    _refuse_unknown_wrapper(checkpoint, architecture)
    dropped = _tied_head(checkpoint, architecture)
    dropped |= dict.fromkeys(sorted(checkpoint.leftovers), "a scale beside a dense weight, or one that no model reads")
    modules = {name: module for name, module in checkpoint.modules.items() if name not in dropped}
    plain = {info.name: _plain(info, architecture, dtype) for info in _plain_infos(checkpoint, modules)}
    dense = {name: _dense(module, dtype) for name, module in modules.items()}
    seam = Seam(architecture, dense, plain)
    checkpoint.files.fetch(checkpoint.shards)
    examined = checkpoint.examine_all(modules)
    not_affine = {name: found.not_native for name, found in examined.items() if found.not_native}
    if not (permute and architecture):
        not_affine |= {name: ACT_ORDER for name, found in examined.items() if PERMUTATION in found.parts}
    affine = {name: _native(modules[name], examined[name], params_dtype) for name in modules if name not in not_affine}
    for name in seam.unwanted:
        _require_zero(checkpoint, modules[name.removesuffix(".bias")], architecture)
        dropped[name] = "all zero, and the architecture has no such parameter"
    packed = seam.packed(affine) if target != "dense" else None
    if packed is not None:
        not_affine |= {name: why for name, why in packed.refused.items() if affine[name].permuted}
    if target == "affine" and packed is None:
        name = architecture.name if architecture else ""
        raise ConversionError("bad-target", f"mlx-lm's {name} cannot load these modules packed; use target 'dense'")
    if packed is None or (target == "auto" and not_affine):
        plan = Plan("dense", _in_file_order(checkpoint, seam.steps), dropped=dropped, changed=seam.changed)
    else:
        steps = seam.steps | {name: affine[name] for name in packed.modules}
        plan = Plan("affine", _in_file_order(checkpoint, steps), dropped=dropped, changed=seam.changed)
        plan.not_affine = not_affine | packed.refused
        plan.quantization = _quantization({name: examined[one] for name, one in packed.named.items()})
    plan.left_out = seam.left_out
    plan.exact = exactness(modules, plan.steps)
    plan.notes = list(_notes(plan, architecture, seam))
    widened = [step for step in plan.steps if step.kind == "affine" and _widened(step, modules[step.name])]
    if widened and params_dtype is None:
        plan.notes.append(
            f"{len(widened)} modules get float32 scales and biases: float16 would overflow ({widened[0].name}, ...)"
        )
    return plan


def _dense(module: PackedModule, dtype: mx.Dtype | None) -> Step:
    weight = (module.shape, dtype or module.dtype)
    return Step(module.name, "dense", {f"{module.name}.weight": weight}, math.prod(module.shape))


def _native(module: PackedModule, examined: Examined, params_dtype: mx.Dtype | None) -> Step:
    """Float parameters are cast where that is asked for; codes, and parameters that are bytes, are not."""
    outputs = {
        f"{module.name}.{leaf}": (shape, params_dtype if params_dtype and dtype in FLOATS.values() else dtype)
        for leaf, (shape, dtype) in examined.parts.items()
    }
    return Step(module.name, "affine", outputs, math.prod(module.shape))


def _widened(step: Step, module: PackedModule) -> bool:
    return module.dtype == mx.float16 and (step.outputs[f"{step.name}.scales"][1] == mx.float32)


def _plain(info: TensorInfo, architecture: Architecture | None, dtype: mx.Dtype | None) -> Step:
    casts = dtype is not None and info.mlx_dtype in FLOATS.values()
    casts = casts and (architecture is None or architecture.casts(info.name))
    return Step(info.name, "plain", {info.name: (info.shape, dtype if casts and dtype else info.mlx_dtype)}, info.size)


def _plain_infos(checkpoint: Checkpoint, modules: Mapping[str, PackedModule]) -> Iterator[TensorInfo]:
    yield from checkpoint.plain.values()
    yield from (module.tensors["bias"] for module in modules.values() if "bias" in module.tensors)


def _refuse_unknown_wrapper(checkpoint: Checkpoint, architecture: Architecture | None) -> None:
    """Of models that are more than a text decoder those are converted whose language model mlx-lm has."""
    found = wrapper_of(checkpoint.config)
    if found and architecture is None:
        raise UnsupportedFormat(
            "unsupported-architecture",
            f"{found}: more than a text decoder, and mlx-lm has no {checkpoint.config.get('model_type')!r} with its "
            "language model; use a text-only export, or decode its modules with Checkpoint.dequantize",
            where="config.json: model_type",
        )


def _tied_head(checkpoint: Checkpoint, architecture: Architecture | None) -> dict[str, str]:
    """A packed ``lm_head`` beside tied embeddings: the model computes its logits from the embeddings."""
    heads = [name for name in checkpoint.modules if name.rpartition(".")[2] == "lm_head"]
    if not heads or not ties_embeddings(checkpoint.config):
        return {}
    if architecture is not None and any(name.endswith("lm_head.weight") for name in architecture.parameters):
        return {}
    return dict.fromkeys(heads, "tie_word_embeddings is true: the embeddings are the output head")


def _require_zero(checkpoint: Checkpoint, module: PackedModule, architecture: Architecture | None) -> None:
    bias = checkpoint.tensor(f"{module.name}.bias")
    if mx.any(bias != 0).item():
        raise MalformedCheckpoint(
            "unsupported-bias",
            f"not zero, but mlx-lm's {architecture.name if architecture else ''} has no bias here; "
            "check model_type and the attention_bias and mlp_bias of config.json",
            where=f"{module.tensors['bias'].file}: {module.name}.bias",
        )


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
    # A key that mlx-lm has no parameter for: its own loaders end there, also those that take weights they do not know.
    own = {
        name: dict(found.parameters) | ({PERMUTED: True} if PERMUTATION in found.parts else {})
        for name, found in packed.items()
    }
    return common | {name: parameters for name, parameters in own.items() if parameters != common}


def _notes(plan: Plan, architecture: Architecture | None, seam: Seam) -> Iterator[str]:
    if architecture is None:
        yield "mlx-lm is not installed or has no such model: every bias is kept, also those that are all zero"
    if plan.not_affine:
        reasons = Counter(plan.not_affine.values())
        yield from (f"{count} modules are decoded to dense: {reason}" for reason, count in reasons.items())
    if count := sum(step.kind == "affine" and step.permuted for step in plan.steps):
        yield (
            f"{count} modules are act-order: they stay packed, and their inputs are put in order as they run, which "
            "mlx_quant.load and mlx-quant run do, and plain mlx-lm refuses"
        )
    yield from seam.notes
    halves = {mx.float16, mx.bfloat16}
    decoded = {dtype for step in plan.steps if step.kind != "plain" for _, dtype in step.outputs.values()} & halves
    plain = {dtype for step in plan.steps if step.kind == "plain" for _, dtype in step.outputs.values()} & halves
    if len(decoded | plain) > 1:
        own = " or ".join(sorted(str(dtype).rpartition(".")[2] for dtype in decoded))
        yield (
            "float16 and bfloat16 tensors together make MLX compute in float32, which is slower and loses nothing; so "
            f"each keeps its own. One dtype for all is faster: {own or 'float16'} leaves the decoded weights as they "
            "are (dtype, or --dtype), and rounds, or refuses, what of the others it cannot hold"
        )
