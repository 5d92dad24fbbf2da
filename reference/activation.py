"""AutoAWQ's scaled activations: what an activation gives is divided, by channel, before the next layer meets it.

Formulas: autoawq 0.2.9, ``awq/modules/act.py`` (``ScaledActivation.forward``: ``act(x) / scales``) and
``quantize/scale.py`` (``apply_scale``). ``(x / c) W`` is ``x (W / c)``: the divisors go into the columns of the layer
behind. Which layer that is: ``get_layers_for_scaling`` of AutoAWQ's models with a ``scale_dict``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from .config import Config
from .formats.awq_gemv import awq_label
from .unpacked import Refused, check_shape

LEAF = "act.scales"
# Starcoder2 and GPT-BigCode; GPT-J; GPT-NeoX and Falcon.
BEHIND = ("c_proj", "fc_out", "dense_4h_to_h")


class Matrix(Protocol):
    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor: ...


@dataclass
class Divided:
    """``W = RN(RN32(RN32(s * (q - z)) / c))``, in ``dtype`` or that of the matrix."""

    matrix: Matrix
    divisors: torch.Tensor

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        quotients = self.matrix.dense(torch.float32) / self.divisors.to(torch.float32)
        return quotients.to(dtype or self.matrix.dense().dtype)


def beside(module: str) -> str:
    """The full name that the divisors of a module's inputs would have; "" of a module behind no activation."""
    parent, _, name = module.rpartition(".")
    return f"{parent}.{LEAF}" if parent and name in BEHIND else ""


def apart(
    config: Config, tensors: Mapping[str, torch.Tensor]
) -> tuple[Mapping[str, torch.Tensor], torch.Tensor | None]:
    """The tensors of the packing itself, and the divisors of its inputs; Refused under a config of another method."""
    if LEAF not in tensors:
        return tensors, None
    if not awq_label(config):
        raise Refused(f"{LEAF} is AutoAWQ's, and the config is not")
    return {name: tensor for name, tensor in tensors.items() if name != LEAF}, tensors[LEAF]


def divided(matrix: Matrix, divisors: torch.Tensor) -> Divided:
    if divisors.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise Refused(f"{LEAF} is {divisors.dtype}, expected floats")
    check_shape(LEAF, divisors, (matrix.dense().shape[1],))
    if not torch.isfinite(divisors).all() or not divisors.all():
        raise Refused(f"{LEAF} are not all finite, or some are zero")
    return Divided(matrix, divisors)
