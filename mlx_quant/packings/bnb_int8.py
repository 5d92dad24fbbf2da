"""bitsandbytes' LLM.int8: signed bytes, and the largest magnitude of each row.

On disk: ``weight`` int8 [out, in]; ``SCB`` float32 [out]; ``weight_format``, a byte without axes, 0 for rows in order,
the only order that is still written. ``W = RN32(RN32(q * SCB) * RN32(7.874015718698502e-3))``, a factor of about 1/127;
its dtype is float32, whatever the model computes in. Source: bitsandbytes 0.50.2, ``_ops.py``,
``int8_vectorwise_dequant``, which transformers 5.23.0 calls as well (``integrations/bitsandbytes.py``).
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..errors import UnsupportedFormat
from ..weights.twice import Twice
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "bnb_int8"
TITLE = "bitsandbytes int8"
STATUS: Status = "enabled"
BITS = (8,)
LAYOUTS = ("int8",)
MARKS = (".SCB",)
TENSORS = (".weight", ".SCB", ".weight_format")

_FACTOR = 7.874015718698502e-3
_ROW = 0


def recognises(infos: Infos) -> bool:
    return "SCB" in infos and "weight" in infos and infos["weight"].dtype == "I8"


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "quant_method")
    checks.present(infos, ("weight", "SCB"), TENSORS)
    checks.dtype(infos, "weight", ("I8",))
    out_features, in_features = checks.matrix(infos, "weight")
    if infos["SCB"].dtype != "F32":
        raise UnsupportedFormat("unsupported-dtype", f"dtype {infos['SCB'].dtype}, expected float32", where="SCB")
    if infos["SCB"].shape != (out_features,):
        raise checks.bad_shape(infos, "SCB", f"expected one for each of {out_features} outputs")
    if "weight_format" in infos:
        checks.dtype(infos, "weight_format", ("U8",))
        if infos["weight_format"].size != 1:
            raise checks.bad_shape(infos, "weight_format", "expected one byte")
    return Measured(out_features, in_features, mx.float32)


def decode(scheme: Scheme, tensors: Tensors) -> Twice:
    found = measure(scheme, checks.headers(tensors))
    if "weight_format" in tensors and (order := tensors["weight_format"].item()) != _ROW:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"is {order}, and only {_ROW}, rows in order, is decoded; pack the model again with bitsandbytes of today",
            where="weight_format",
        )
    checks.finite(tensors, "SCB")
    return Twice(tensors["weight"], tensors["SCB"], _FACTOR, found.dtype)


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return []  # no label of this packing contradicts its data


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)
