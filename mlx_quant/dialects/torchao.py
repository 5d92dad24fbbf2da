"""torchao's configurations, as transformers writes them, and what the headers of its files say of each tensor.

``quant_type`` is a recipe for packing; how a weight lies is said in the ``__metadata__`` of the safetensors files: by
the name of the weight, a JSON text with the class of the tensor (``_type``), its attributes (``_data``) and the names
of its parts (``_tensor_data_names``). That is what counts here, under the key ``metadata`` of the configuration: of a
checkpoint, what its files say; of one module, whose name nobody knows, the entry ``weight``. Sources: torchao 0.18.0,
``prototype/safetensors``; transformers 5.23.0, ``quantizers/quantizer_torchao.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import MalformedCheckpoint, UnsupportedFormat
from . import fields
from .schemes import Scheme, Schemes
from .torchao_floats import DTYPES, EXPORT, FLOAT8, MX, NOTE, NVFP4, dtype_of, of_blocks, of_groups

ID = "torchao"
METADATA = "metadata"

# Bytes of one entry; real ones have some 300.
_LONGEST = 1 << 16
_NAMES = "tensor_names"
_WEIGHT = "weight"
_PLAIN = "Tensor"
_PARTS = {
    *("qdata", "scale", "zero_point", "per_tensor_scale"),
    *("act_quant_scale", "act_quant_zero_point", "act_pre_scale", "act_per_tensor_scale"),
}
_WIDTHS = {f"int{bits}": bits for bits in range(1, 9)}
# Classes that are decoded, and those that are refused with a reason.
_DECODED = ("Int8Tensor", "IntxUnpackedToInt8Tensor", FLOAT8, MX, NVFP4)
_REASONS = {
    "Int4Tensor": "torchao reads it with a kernel for GPUs alone, so nothing proves a decoder right",
    "NF4Tensor": "torchao 0.18.0 writes none into safetensors: ValueError: Unsupported tensor type",
}
_TILES = "its bits lie as one kernel wants them"


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def gathered(said: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """What all files of a checkpoint say; ``config-contradiction`` where two differ about a tensor."""
    found: dict[str, str] = {}
    for own in said:
        for name, text in own.items():
            if name == _NAMES:
                continue
            if found.setdefault(name, text) != text:
                raise MalformedCheckpoint(
                    "config-contradiction", "two files describe it differently; fetch matching files", where=name
                )
    return found


def schemes(config: Mapping[str, Any]) -> Schemes:
    entries = config.get(METADATA)
    if entries is not None and not isinstance(entries, Mapping):
        raise fields.bad(METADATA, entries, "a mapping of names to JSON texts")
    for name, text in (entries or {}).items():
        if f".{name}".endswith(f".{_WEIGHT}") or (kind := _kind(text)) in (None, _PLAIN):
            continue
        raise UnsupportedFormat(
            "unsupported-layout",
            f"{kind} is packed, and it is no layer's weight: rules by the names of modules pack biases as well; name "
            f"weights in FqnToConfig, or {EXPORT}",
            where=f"{METADATA}.{name}",
        )
    return Described(entries)


@dataclass(frozen=True)
class Described:
    """Schemes by what is said of each weight; None where nothing was read yet."""

    entries: Mapping[str, Any] | None

    @property
    def default(self) -> Scheme:
        """That of the module without a name, or of the first that is packed."""
        entries = self.entries or {}
        packed = (name for name in entries if name.endswith(f".{_WEIGHT}") and _kind(entries[name]) != _PLAIN)
        return self._of(_WEIGHT if _WEIGHT in entries else next(packed, _WEIGHT))

    def scheme(self, module: str) -> Scheme:
        if not module or set(self.entries or {}) == {_WEIGHT}:
            return self._of(_WEIGHT)
        return self._of(f"{module}.{_WEIGHT}")

    def place(self, module: str) -> str | None:
        return f"{METADATA}.{module}.{_WEIGHT}"

    def _of(self, name: str) -> Scheme:
        place = f"{METADATA}.{name}"
        if (text := (self.entries or {}).get(name)) is None:
            raise MalformedCheckpoint(
                "bad-config-value",
                "nothing describes this weight: torchao writes its class and blocks into the headers of the files, "
                "and they were lost; use the files that transformers saved",
                where=place,
            )
        return _scheme(_parsed(text, place), place)


def _scheme(entry: Mapping[str, Any], place: str) -> Scheme:
    kind = entry.get("_type")
    if not isinstance(kind, str):
        raise fields.bad(f"{place}._type", kind, "the name of a class")
    if kind == _PLAIN:
        raise MalformedCheckpoint("config-contradiction", "is described as dense, and packed all the same", where=place)
    if kind not in _DECODED:
        raise UnsupportedFormat(
            "unsupported-layout", f"{kind} is not decoded ({_REASONS.get(kind, _TILES)}); {EXPORT}", where=place
        )
    said = entry.get("_data")
    if not isinstance(said, Mapping):
        raise fields.bad(f"{place}._data", said, "a mapping")
    parts = entry.get("_tensor_data_names")
    if not isinstance(parts, list) or not all(isinstance(part, str) and part in _PARTS for part in parts):
        raise fields.bad(f"{place}._tensor_data_names", parts, f"a list of some of {', '.join(sorted(_PARTS))}")
    if "act_pre_scale" in parts:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"activations are scaled before they meet it, which MLX's model does not; {EXPORT}",
            where=place,
        )
    if kind in (FLOAT8, MX, NVFP4) and "zero_point" in parts:
        raise UnsupportedFormat(
            "unsupported-layout", f"{kind} with zero points, which torchao 0.18.0 has not; {EXPORT}", where=place
        )
    if kind != NVFP4 and "per_tensor_scale" in parts:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"{kind} with a scale of the whole matrix, which torchao 0.18.0 has not; {EXPORT}",
            where=place,
        )
    if kind in (MX, NVFP4):
        return of_groups(kind, said, parts, place)
    intx = kind == _DECODED[1]
    width = dtype_of(said, "target_dtype", tuple(_WIDTHS), place) if intx else "int8"
    block = said.get("block_size")
    if isinstance(block, list) and len(block) == 3:
        raise UnsupportedFormat("unsupported-layout", f"a stack of experts is not decoded; {EXPORT}", where=place)
    if kind == FLOAT8:
        return of_blocks(said, block, place)
    rows, columns = fields.pair(f"{place}._data.block_size", block, "two positive numbers")
    activations = said.get("activation_quantization" if intx else "act_quant_kwargs") is not None
    return Scheme(
        dialect=ID,
        packing="torchao_int8",
        bits=_WIDTHS[width],
        group_size=columns,
        layout=kind,
        sym="zero_point" not in parts,
        block=(rows, columns),
        dtype=dtype_of(said, "dtype", DTYPES, place),
        notes=(NOTE,) if activations else (),
    )


def _kind(text: object) -> str | None:
    """The class that an entry names; None for what is no such entry."""
    try:
        kind = json.loads(text)["_type"] if isinstance(text, str) and len(text) <= _LONGEST else None
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return kind if isinstance(kind, str) else None


def _parsed(text: object, place: str) -> Mapping[str, Any]:
    """The JSON object in an entry; ``bad-config-value`` for anything else."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise fields.bad(place, text, f"a JSON text of at most {_LONGEST} characters")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedCheckpoint(
            "bad-config-value", f"is no JSON ({error}); download it again", where=place
        ) from error
    if not isinstance(found, Mapping):
        raise fields.bad(place, found, "a JSON object")
    return found
