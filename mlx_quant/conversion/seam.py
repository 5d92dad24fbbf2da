"""What mlx-lm's model makes of every tensor as it loads a conversion: moved, computed with, or left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import UnsupportedFormat
from ..models.architecture import Architecture, Fit, Shapes
from ..models.arrivals import Arrival
from ..weights.native import PERMUTATION

_WHY = {
    "transposed": "mlx-lm transposes it as it loads, which packed weights do not survive",
    "moved": "mlx-lm cuts it apart as it loads, and would quantise the pieces again",
    "changed": "mlx-lm computes with it as it loads, and would quantise it again",
}
_NO_PLACE = "mlx-lm's model has no place for its scales and biases"
_NO_ORDER = "act-order: mlx-lm's model takes it for something other than one linear layer, whose inputs can be permuted"


@dataclass(frozen=True)
class Step:
    """One module or tensor to write: its name in the source, and what becomes of it.

    ``transposed`` dense weights are written [in, out], because the architecture's checkpoints hold them so (GPT-2's).
    """

    name: str
    kind: Literal["dense", "affine", "plain"]
    outputs: Shapes
    parameters: int
    transposed: bool = False

    @property
    def permuted(self) -> bool:
        """Whether its inputs are put in order as it runs."""
        return f"{self.name}.{PERMUTATION}" in self.outputs

    @property
    def nbytes(self) -> int:
        return sum(math.prod(shape) * dtype.size for shape, dtype in self.outputs.values())


@dataclass(frozen=True)
class Packed:
    """What can be loaded packed.

    Attributes:
        modules: names of the modules.
        refused: those that mlx-lm would not leave as they are, and why.
        named: module of mlx-lm's model to a module of the source that it holds.
    """

    modules: tuple[str, ...]
    refused: dict[str, str]
    named: dict[str, str]


class Seam:
    """What mlx-lm's model does with dense weights and plain tensors, and with packed ones in their place.

    Attributes:
        steps: dense and plain, those that the architecture stores transposed made so, without unwanted biases.
        unwanted: biases of packed modules that the architecture has no parameter for.
        changed: tensors that mlx-lm computes with as it loads, and by which of MLX's primitives.
        left_out: tensors that it makes no parameter from.

    Raises UnsupportedFormat ``unsupported-architecture`` and MalformedCheckpoint ``missing-tensor`` unless they fit.
    """

    def __init__(self, architecture: Architecture | None, dense: Mapping[str, Step], plain: Mapping[str, Step]) -> None:
        self._architecture = architecture
        self._modules, self.steps = tuple(dense), {**dense, **plain}
        self.unwanted: tuple[str, ...] = ()
        self._arrived: dict[str, Arrival] = {}
        if architecture is None:
            return
        arrived = self._fitted(self.steps).arrivals(_outputs(dense))
        self.steps |= {name: _transposed(dense[name]) for name, found in arrived.items() if found.kind == "transposed"}
        found = self._fitted(self.steps)
        biases = {f"{name}.bias" for name in dense}
        self.unwanted = tuple(sorted(found.made_from(found.extra) & biases))
        if self.unwanted:
            for name in self.unwanted:
                del self.steps[name]
            found = self._fitted(self.steps)
        self._refuse_own_layers(found)
        architecture.require(found)
        self._arrived = found.arrivals(_outputs(self.steps))

    @property
    def changed(self) -> dict[str, str]:
        return {name: arrival.why for name, arrival in self._arrived.items() if arrival.kind == "changed"}

    @property
    def left_out(self) -> list[str]:
        return [name for name, arrival in self._arrived.items() if arrival.kind == "left-out"]

    @property
    def notes(self) -> Iterator[str]:
        if self.changed:
            name, done = next(iter(self.changed.items()))
            yield f"mlx-lm computes with {len(self.changed)} tensors as it loads ({name}: {done}), as with any original"
        if self.left_out:
            yield f"mlx-lm does not use {len(self.left_out)} tensors ({self.left_out[0]}, ...); they go along unchanged"

    def packed(self, affine: Mapping[str, Step]) -> Packed | None:
        """Which of the packed modules ``affine`` mlx-lm loads with their values untouched; None if it takes none so.

        First those are left dense whose rows do not arrive whole when they are dense. What mlx-lm does with the rest
        is then asked of it once more, for a model may treat packed tensors in a way of its own.
        """
        refused: dict[str, str] = {}
        for name in affine:
            if (kind := self._arrived.get(name, Arrival("rows")).kind) in _WHY:
                refused[name] = _WHY[kind]
        while True:
            chosen = {name: step for name, step in affine.items() if name not in refused}
            if self._architecture is None:
                return Packed(tuple(chosen), refused, {name: name for name in chosen})
            try:
                found = self._fitted(self.steps | chosen)
            except UnsupportedFormat:
                return None
            arrived = found.arrivals(_owned(chosen))
            orders = {name: arrived.pop(f"{name}.{PERMUTATION}") for name, step in chosen.items() if step.permuted}
            spoilt = {name: _WHY[arrival.kind] for name, arrival in arrived.items() if arrival.kind in _WHY}
            homeless = {name.rpartition(".")[0] for name in found.made_from(found.extra)}
            spoilt |= dict.fromkeys(homeless & chosen.keys(), _NO_PLACE)
            spoilt |= {name: _NO_ORDER for name, order in orders.items() if not self._whole(arrived[name], order)}
            if not spoilt and (found.extra or found.missing):
                return None
            if not spoilt:
                return Packed(tuple(chosen), refused, _named(arrived))
            refused |= spoilt

    def _refuse_own_layers(self, found: Fit) -> None:
        """UnsupportedFormat ``unsupported-architecture`` where the model has a packed layer of its own (BitNet's)."""
        assert self._architecture is not None
        for name in found.missing:
            module, _, leaf = name.rpartition(".")
            if module in self._modules and leaf not in ("weight", "bias"):
                raise UnsupportedFormat(
                    "unsupported-architecture",
                    f"mlx-lm's {self._architecture.name} has a packed layer of its own here, which wants {leaf!r} and "
                    "the weights as they are published: load the original with mlx_lm, where it has kernels for that",
                    where=module,
                )

    def _whole(self, module: Arrival, order: Arrival) -> bool:
        """Whether a module arrives as one linear layer, and its permutation beside it."""
        assert self._architecture is not None
        together = len(module.parameters) == 1 and module.parameters == order.parameters and order.kind == "rows"
        return together and self._architecture.is_linear(module.parameters[0])

    def _fitted(self, steps: Mapping[str, Step]) -> Fit:
        assert self._architecture is not None
        return self._architecture.fit({name: shape for step in steps.values() for name, shape in step.outputs.items()})


def _outputs(steps: Mapping[str, Step]) -> dict[str, Shapes]:
    return {name: step.outputs for name, step in steps.items()}


def _owned(steps: Mapping[str, Step]) -> dict[str, Shapes]:
    """Tensors by the module whose rows they share; a permutation has rows of its own."""
    orders = {f"{name}.{PERMUTATION}" for name, step in steps.items() if step.permuted}
    found: dict[str, Shapes] = {
        name: {leaf: shape for leaf, shape in step.outputs.items() if leaf not in orders}
        for name, step in steps.items()
    }
    return found | {leaf: {leaf: steps[leaf.removesuffix(f".{PERMUTATION}")].outputs[leaf]} for leaf in sorted(orders)}


def _transposed(step: Step) -> Step:
    outputs = {name: (shape[::-1], dtype) for name, (shape, dtype) in step.outputs.items()}
    return replace(step, outputs=outputs, transposed=True)


def _named(arrived: Mapping[str, Arrival]) -> dict[str, str]:
    """Modules of the model; a packed module that the model leaves out keeps its own name."""
    return {parameter: name for name, found in arrived.items() for parameter in found.parameters or [name]}
