"""``quant_method`` ``paroquant``: the library's own few keys, or GPTQModel's configuration with its ``dynamic``.

``modules_to_not_convert`` is not followed: which modules are packed is seen from their tensors. Sources: paroquant
0.1.16, ``inference/backends/transformers/quantizer.py``, ``ParoQuantConfig``, whose defaults these are; gptqmodel
7.7.0, ``quantization/config.py``, ``ParoConfig``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import fields, gptq
from .schemes import Scheme, Schemes

ID = "paroquant"

_LABELS = ("format", "checkpoint_format")


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {field: fields.one(config, field) for field in ("krot", "sym", "dynamic")}


def schemes(config: Mapping[str, Any]) -> Schemes:
    return gptq.Dynamic(config, _scheme)


def _scheme(config: Mapping[str, Any]) -> Scheme:
    labels = {fields.folded(config[key]) for key in _LABELS if config.get(key) is not None}
    if other := sorted(labels - {ID}):
        raise fields.undecoded_layout(ID, "checkpoint_format", other[0], (ID,), {})
    return Scheme(
        dialect=ID,
        packing=ID,
        bits=fields.integer(config, "bits", default=4),
        group_size=fields.group_size(config, default=128),
        layout=ID,
        sym=fields.boolean(config, "sym"),
        rotations=_rotations(config),
        producer=fields.producer(config),
    )


def _rotations(config: Mapping[str, Any]) -> int | None:
    """As many as are said; None where the tensors alone say it."""
    if fields.one(config, "krot") is None:
        return None
    found = fields.integer(config, "krot", default=None)
    if found < 1:
        raise fields.bad("krot", found, "a positive number")
    return found
