"""``quant_method`` ``qqq``: GPTQModel's configuration, with ``wbits`` beside ``bits`` for vLLM, and the library's own.

Source: gptqmodel 7.7.0, ``quantization/config.py``, ``QQQConfig``, whose ``dynamic`` is GPTQ's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import fields, gptq
from .schemes import Scheme, Schemes

ID = "qqq"

_NOTE = "its kernels round activations to 8 bits; weights alone are decoded, so activations stay as they are"


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {field: fields.one(config, field) for field in ("desc_act", "sym", "dynamic")}


def schemes(config: Mapping[str, Any]) -> Schemes:
    return gptq.Dynamic(config, _scheme)


def _scheme(config: Mapping[str, Any]) -> Scheme:
    labels = {str(config[key]).lower() for key in ("format", "checkpoint_format") if config.get(key)}
    if other := sorted(labels - {ID}):
        raise fields.undecoded_layout(ID, "checkpoint_format", other[0], (ID,), {})
    return Scheme(
        dialect=ID,
        packing=ID,
        bits=fields.integer(config, "bits", default=None),
        group_size=fields.group_size(config, default=-1),
        layout=ID,
        sym=fields.boolean(config, "sym"),
        desc_act=fields.boolean(config, "desc_act"),
        producer=fields.producer(config),
        notes=(_NOTE,),
    )
