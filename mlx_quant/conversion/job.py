"""A conversion that is settled and not done yet: what becomes of each tensor, and the tensors when they are asked for.

Whoever takes them writes them into a folder, or puts them into a model.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import Any, Literal

import mlx.core as mx

from ..checkpoint.checkpoint import Checkpoint
from ..errors import ConversionError, QuantWarning
from ..files.folder import FLOATS
from ..models.architecture import Architecture
from ..models.config import config_for
from ..weights.decoded import begin_dense, begin_native
from .names import as_mlx_lm_names
from .plan import Plan, Target, make_plan
from .seam import Step

TARGETS = ("auto", "dense", "affine")
# Gives the tensors of a step, on which other threads may be at work.
Making = Callable[[], dict[str, mx.array]]


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Attributes:
        source, destination: path or repo id, and folder; that is empty where a model was loaded and nothing written.
        target: ``"dense"`` or ``"affine"``.
        dense, affine: packed modules by the form they were given.
        permuted: those of the affine ones whose inputs are put in order as they run, which plain mlx-lm does not do.
        plain: number of tensors that were not packed and were copied.
        not_affine: modules of an affine target that had to be decoded to dense, and why.
        dropped: tensors left out, and why.
        changed: tensors that mlx-lm does not just move to a parameter as it loads, and what it computes. Packed modules
            are dense then.
        notes: what to know of the result.
        warnings: what to look at in the source; see :attr:`Checkpoint.warnings`.
        files: shards written; none where a model was loaded.
        nbytes: size of the weights.
        seconds: wall time.
        memory: size of the parameters that mlx-lm makes of them.
        exact: how exact it is, in sentences.
        in_mlx_lm: whether mlx-lm has such a model.
    """

    source: str
    destination: str
    target: Literal["dense", "affine"]
    dense: tuple[str, ...]
    affine: tuple[str, ...]
    permuted: tuple[str, ...]
    plain: int
    not_affine: dict[str, str]
    dropped: dict[str, str]
    changed: dict[str, str]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    files: tuple[str, ...]
    nbytes: int
    seconds: float
    memory: int
    exact: tuple[str, ...]
    in_mlx_lm: bool

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Job:
    """A conversion that nothing speaks against.

    Attributes:
        source: the packed checkpoint.
        config: ``config.json`` of the converted one.
        architecture: mlx-lm's model of it, or None.
        plan: what becomes of each tensor.
        dtype, params_dtype: of decoded and other float tensors, and of float parameters of packed modules, where that
            was asked for.
    """

    source: Checkpoint
    config: dict[str, Any]
    architecture: Architecture | None
    plan: Plan
    dtype: mx.Dtype | None
    params_dtype: mx.Dtype | None
    _started: float = field(default_factory=time.monotonic)

    @classmethod
    def settled(
        cls,
        source: Checkpoint,
        target: Target,
        dtype: mx.Dtype | str | None,
        params_dtype: mx.Dtype | str | None,
        *,
        permute: bool,
        known: Architecture | None = None,
    ) -> Job:
        """Plan a conversion; ``known`` is an architecture that was built before, perhaps the one. Raises as
        :func:`make_plan`, and ConversionError ``bad-target`` as :func:`require`."""
        started = time.monotonic()
        require(target, dtype, params_dtype)
        dense, affine = float_dtype(dtype), float_dtype(params_dtype)
        config = config_for(source.config, dtype=str(dense).rpartition(".")[2] if dense else None)
        architecture = known if known is not None and known.config == config else Architecture.of(config)
        if architecture:
            source = as_mlx_lm_names(source, config)
        plan = make_plan(source, architecture, target, dense, affine, permute=permute)
        if target == "affine" and plan.not_affine:
            text = (
                f"{len(plan.not_affine)} of {len(source.modules)} modules have no packed form in MLX and become dense"
            )
            warnings.warn(f"{source.label}: {text}; the report says why", QuantWarning, stacklevel=4)
        if plan.quantization:
            config["quantization"] = plan.quantization
        return cls(source, config, architecture, plan, dense, affine, started)

    def all_tensors(self) -> Iterator[tuple[Step, dict[str, mx.array]]]:
        """Each step and its tensors, evaluated; raises ConversionError ``overflow``, and as decoding does.

        While this thread looks at one, others decode the one before, and what the one after is made of is read.
        """
        steps = self.plan.steps
        before: tuple[Step, Making] | None = None
        for step, ahead in zip_longest(steps, steps[1:]):
            if ahead is not None:
                self.source.read_ahead(ahead.name)
            making = self._begun(step)
            if before is not None:
                yield before[0], before[1]()
            before = step, making
        if before is not None:
            yield before[0], before[1]()

    def _begun(self, step: Step) -> Making:
        name = step.name
        if step.kind == "affine":
            native = begin_native(self.source.decode(name), self.params_dtype)

            def packed() -> dict[str, mx.array]:
                parts = {f"{name}.{leaf}": array for leaf, array in native().arrays.items()}
                return _evaluated(parts, narrowed=self.params_dtype is not None)

            return packed
        if step.kind == "dense":
            dense = begin_dense(self.source.decode(name), self.dtype)

            def matrix() -> dict[str, mx.array]:
                weight = mx.contiguous(dense().T) if step.transposed else dense()
                return _evaluated({f"{name}.weight": weight}, narrowed=self.dtype is not None)

            return matrix
        stored, (_, wanted) = self.source.tensor(name), step.outputs[name]
        plain = {name: stored.astype(wanted)}
        mx.async_eval(plain)  # type: ignore[no-untyped-call]
        return lambda: _evaluated(plain, narrowed=stored.dtype != wanted)

    def report(self, destination: str = "", files: tuple[str, ...] = ()) -> ConversionReport:
        """What was done, now that it is."""
        plan = self.plan
        return ConversionReport(
            source=self.source.label,
            destination=destination,
            target=plan.target,
            dense=tuple(step.name for step in plan.steps if step.kind == "dense"),
            affine=tuple(step.name for step in plan.steps if step.kind == "affine"),
            permuted=tuple(step.name for step in plan.steps if step.kind == "affine" and step.permuted),
            plain=sum(step.kind == "plain" for step in plan.steps),
            not_affine=plan.not_affine,
            dropped=plan.dropped,
            changed=plan.changed,
            notes=tuple(plan.notes),
            warnings=tuple(self.source.warnings),
            files=files,
            nbytes=plan.nbytes,
            seconds=time.monotonic() - self._started,
            memory=plan.memory,
            exact=tuple(plan.exact),
            in_mlx_lm=self.architecture is not None,
        )


def _evaluated(tensors: dict[str, mx.array], *, narrowed: bool) -> dict[str, mx.array]:
    mx.eval(tensors)
    for name, array in tensors.items():
        if narrowed and array.dtype == mx.float16 and not mx.isfinite(array).all().item():
            raise ConversionError("overflow", "holds values beyond float16's 65504; use bfloat16", where=name)
    return tensors


def require(target: str, dtype: mx.Dtype | str | None, params_dtype: mx.Dtype | str | None) -> None:
    """ConversionError ``bad-target`` for a target that is none, and for dtypes as :func:`float_dtype`."""
    float_dtype(dtype)
    float_dtype(params_dtype)
    if target not in TARGETS:
        raise ConversionError("bad-target", f"target is {target!r}, expected 'dense', 'affine' or 'auto'")


def float_dtype(value: mx.Dtype | str | None) -> mx.Dtype | None:
    """``value`` as a dtype; ConversionError ``bad-target`` unless float16, bfloat16 or float32."""
    if value is None:
        return None
    name = str(value).rpartition(".")[2]
    if name not in FLOATS:
        raise ConversionError("bad-target", f"dtype is {value!r}, expected one of {', '.join(FLOATS)}")
    return FLOATS[name]
