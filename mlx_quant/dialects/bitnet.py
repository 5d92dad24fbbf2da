"""``quant_method`` ``bitnet``: which of transformers' two layers a checkpoint was stored for.

``modules_to_not_convert`` is not followed: which modules are packed is seen from their tensors. Both layers round their
inputs to 8 bits a token, which touches no weight; it is noted. Source: transformers 5.23.0,
``utils/quantization_config.py``, ``BitNetQuantConfig``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UnsupportedFormat
from . import fields
from .schemes import Scheme, Schemes, Uniform

ID = "bitnet"

_CLASS, _MODE, _NORM = "linear_class", "quantization_mode", "use_rms_norm"
_CLASSES, _MODES = ("bitlinear", "autobitlinear"), ("offline", "online")
_ACTIVATIONS = (
    "transformers rounds the inputs of these layers to 8 bits a token; they are left as they are, only weights are "
    "decoded"
)
_BIAS = "a bias is added as it is stored, though transformers 5.23.0 multiplies that of autobitlinear by the scale too"


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config[key] for key in (_CLASS, _MODE) if config.get(key) is not None}


def schemes(config: Mapping[str, Any]) -> Schemes:
    layout, mode = _one_of(config, _CLASS, _CLASSES), _one_of(config, _MODE, _MODES)
    if mode != _MODES[0]:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"{_MODE} is {mode}: weights are stored whole and made -1, 0 and 1 each time the model runs; use a "
            "checkpoint whose mode is offline",
            where=_MODE,
        )
    if fields.boolean(config, _NORM):
        raise UnsupportedFormat(
            "unsupported-layout",
            f"{_NORM}: each layer normalises its inputs by weights of its own, which no model of mlx-lm has",
            where=_NORM,
        )
    notes = (_ACTIVATIONS,) if layout == _CLASSES[0] else (_ACTIVATIONS, _BIAS)
    return Uniform(Scheme(ID, ID, bits=2, group_size=-1, layout=layout, sym=True, notes=notes))


def _one_of(config: Mapping[str, Any], key: str, values: tuple[str, ...]) -> str:
    """The value of a key, of which the first is what transformers assumes."""
    value = config.get(key)
    value = values[0] if value is None else value
    if value not in values:
        raise fields.bad(key, value, " or ".join(values))
    return str(value)
