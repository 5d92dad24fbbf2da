"""MLX's own packed forms of a matrix, as ``mx.dequantize``, ``mx.quantized_matmul`` and mlx-lm take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import mlx.core as mx

from ..errors import UnsupportedFormat

# Largest first: fewer parameters for the same weights.
AFFINE_GROUP_SIZES = (128, 64, 32)
AFFINE_BITS = (2, 3, 4, 5, 6, 8)
# What the permutation of a module's inputs is called beside its weight, scales and biases.
PERMUTATION = "permutation"
# Of such a module, in the "quantization" of a config.json.
PERMUTED = "permuted"


def no_packed_form(why: str) -> UnsupportedFormat:
    """What is raised for a matrix that none of MLX's modes holds."""
    return UnsupportedFormat("unsupported-affine", f"{why}; decode to dense")


@dataclass(frozen=True)
class NativeWeights:
    """One matrix in one of MLX's packed modes.

    Attributes:
        mode: MLX's name of the mode: ``"affine"``, ``"mxfp4"``, ...
        weight: uint32 [out, in * bits // 32], codes as a little-endian bit stream.
        scales: [out, in // group_size].
        biases: as ``scales``, or None in a mode that has none.
        group_size, bits: as ``mx.dequantize`` takes them.
        permutation: None, or int32 [in]; column ``j`` of the stored matrix is input channel ``permutation[j]``, so a
            user computes ``quantized_matmul(x[..., permutation], ...)``.
    """

    mode: ClassVar[str]

    weight: mx.array
    scales: mx.array
    biases: mx.array | None
    group_size: int
    bits: int
    permutation: mx.array | None = None

    @property
    def arrays(self) -> dict[str, mx.array]:
        """What a converted checkpoint stores of it, by mlx-lm's names; mlx-lm has none for ``permutation``."""
        found = {"weight": self.weight, "scales": self.scales}
        found |= {} if self.biases is None else {"biases": self.biases}
        return found if self.permutation is None else found | {PERMUTATION: self.permutation}

    @property
    def parameters(self) -> dict[str, Any]:
        """How mlx-lm's ``config.json`` describes it."""
        return {"group_size": self.group_size, "bits": self.bits, "mode": self.mode}

    def as_affine(self) -> AffineWeights:
        """This, if it is in the affine mode; UnsupportedFormat ``unsupported-affine`` otherwise."""
        raise UnsupportedFormat("unsupported-affine", f"MLX holds this as {self.mode}, not affine; use to_native")


@dataclass(frozen=True)
class AffineWeights(NativeWeights):
    """MLX's affine form: ``W = scales * q + biases`` per group along the input axis."""

    mode: ClassVar[str] = "affine"

    biases: mx.array

    def as_affine(self) -> AffineWeights:
        return self


@dataclass(frozen=True)
class Mxfp4Weights(NativeWeights):
    """MLX's mxfp4: E2M1 codes, and one E8M0 byte (uint8) for 32 of them along the input axis; no biases."""

    mode: ClassVar[str] = "mxfp4"


@dataclass(frozen=True)
class Nvfp4Weights(NativeWeights):
    """MLX's nvfp4: E2M1 codes, and one byte of E4M3 (uint8) for 16 of them along the input axis; no biases."""

    mode: ClassVar[str] = "nvfp4"


@dataclass(frozen=True)
class Mxfp8Weights(NativeWeights):
    """MLX's mxfp8: E4M3 codes, and one E8M0 byte (uint8) for 32 of them along the input axis; no biases."""

    mode: ClassVar[str] = "mxfp8"
