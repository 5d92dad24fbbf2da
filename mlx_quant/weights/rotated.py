"""A matrix whose inputs are scaled and turned in pairs before they meet it: both are moved into its columns."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from .decoded import Weight
from .native import NativeWeights, no_packed_form
from .pieces import pieces


@dataclass(frozen=True)
class Turns:
    """Rotations of disjoint pairs of inputs, one after the other.

    Attributes:
        partners: uint32 [rotations, in], the other input of each one's pair.
        cosines: float32 [rotations, in].
        sines: the same, negative for the first input of a pair.
    """

    partners: mx.array
    cosines: mx.array
    sines: mx.array

    @classmethod
    def of(cls, pairs: np.ndarray, angles: np.ndarray) -> Turns:
        """``pairs`` [rotations, pairs, 2] of numbers of inputs, each once a rotation; float64 ``angles`` of them.

        Cosines and sines are those of float64, rounded to float32.
        """
        count, _, _ = pairs.shape
        rows = np.arange(count)[:, None]
        shape = count, pairs[0].size
        partners, cosines, sines = np.empty(shape, np.uint32), np.empty(shape, np.float32), np.empty(shape, np.float32)
        for own, other, sign in ((0, 1, -1), (1, 0, 1)):
            places = rows, pairs[:, :, own]
            partners[places], cosines[places] = pairs[:, :, other], np.cos(angles)
            sines[places] = sign * np.sin(angles)
        return cls(mx.array(partners), mx.array(cosines), mx.array(sines))

    def undone(self, columns: mx.array) -> mx.array:
        """float32 [in, n] with the last rotation taken back first; two products and a sum a number, each rounded."""
        for number in reversed(range(len(self.partners))):
            others = mx.take(columns, self.partners[number], axis=0)
            columns = columns * self.cosines[number][:, None] + others * self.sines[number][:, None]
        return columns


@dataclass(frozen=True)
class Rotated:
    """``W = RN(RN32(R(RN32(M)) * c))``, of which ``x W`` is what ``turned(x * c) M`` is.

    ``R`` takes back the rotations in the rows of ``M``: the first input of a pair becomes ``RN32(RN32(m_1 * cos) -
    RN32(m_2 * sin))``, the second one ``RN32(RN32(m_2 * cos) + RN32(m_1 * sin))``.

    Attributes:
        matrix: what turned inputs meet.
        turns: of the inputs.
        columns: [in], float16, bfloat16 or float32, all finite.
    """

    matrix: Weight
    turns: Turns
    columns: mx.array

    @property
    def shape(self) -> tuple[int, int]:
        out_features, in_features = self.matrix.shape
        return out_features, in_features

    @property
    def dtype(self) -> mx.Dtype:
        return self.matrix.dtype

    @property
    def act_order(self) -> bool:
        return self.matrix.act_order

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype``: all steps in float32, then one cast."""
        found, columns = self.matrix.dense(mx.float32), self.columns.astype(mx.float32)[:, None]
        step = pieces(self.shape[1], smaller=4)
        parts: list[mx.array] = []
        for start in range(0, len(found), step):
            # Inputs that lie one after the other are gathered three times as fast.
            turned = self.turns.undone(mx.contiguous(found[start : start + step].T))
            parts.append(mx.contiguous((turned * columns).astype(dtype or self.dtype).T))
        return mx.concatenate(parts) if len(parts) > 1 else parts[0]

    def native(self, params_dtype: mx.Dtype | None = None) -> NativeWeights:
        """UnsupportedFormat ``unsupported-affine``: a turned column is a mixture of codes."""
        raise no_packed_form(
            "inputs are turned in pairs before they meet the codes, for which MLX's packed forms have no place"
        )
