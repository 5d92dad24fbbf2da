"""How a packed checkpoint becomes a model: the options of ``load`` that ``mlx_lm.load`` has not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from ..conversion.plan import Target
from ..errors import ConversionError
from ..models.architecture import mlx_lm_utils

REQUANTIZE = {"group_size": 64, "bits": 4}


@dataclass(frozen=True)
class Way:
    """The options, as :func:`mlx_quant.load` explains them."""

    target: Target = "auto"
    requantize: bool | Mapping[str, int] = False
    dtype: mx.Dtype | str | None = None
    params_dtype: mx.Dtype | str | None = None
    candidates: bool = False
    progress: bool = False
    permute: bool = True


def require(way: Way) -> Any:
    """``mlx_lm.utils``; ConversionError ``missing-dependency`` without it, ``bad-target`` for a way that is none."""
    utils = mlx_lm_utils()
    if utils is None:
        raise ConversionError("missing-dependency", "loading a model needs mlx-lm: pip install mlx-lm")
    if way.requantize and way.target == "affine":
        raise ConversionError("bad-target", "requantize starts from dense weights; leave target at 'auto' or 'dense'")
    return utils
