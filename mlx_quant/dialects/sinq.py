"""SINQ's: what transformers' ``SinqConfig`` says of all modules, and a file in which sinq describes each of them.

sinq saves tensors to safetensors, and all else that it knows of a module to ``DESCRIBED_IN``: by the module's name, an
object whose ``meta`` says how it was packed. That is what its readers go by, and what counts here, under the key
``modules`` of a configuration; of one module, whose name nobody knows, the entry ``""``. sinq itself writes nothing
into ``config.json``; its patches of transformers do, under several names. Sources: sinq 0.2.0, ``patch_model.py``
(``save_weights_safetensors``, ``load_weights_safetensors``), ``hf_io.py`` (``_detect_sinq_from_cfg_dict``),
``quantizer.py``; transformers 5.23.0, ``SinqConfig``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import MalformedCheckpoint, UnsupportedFormat
from . import fields
from .schemes import Scheme, Schemes

ID = "sinq"
MODULES, META = "modules", "meta"
DESCRIBED_IN = "model.safetensors.index.json.meta.json"

# By packing: bits of a code, and what may be said of its width.
WIDTHS: dict[str, tuple[int, tuple[float, ...]]] = {
    "8bit_u8": (8, (8,)),
    "6bit_32": (6, (6,)),
    "5bit_32": (5, (5,)),
    "4bit_u8": (4, (4,)),
    "3bit_32": (3, (3,)),
    "2bit_u8": (2, (2, 1.58)),
    "1bit_u8": (1, (1,)),
}
UNIFORM, NF3, NF4, AS_FLOATS = "uniform", "nf3", "nf4", " as floats"
_DTYPES = ("float16", "bfloat16", "float32")
_PACKED_PARAMETERS = "quantaux"
_FLAGS, _VALUES = ("sinq", "is_sinq", "sinq_quantized"), ("backend", "approach")
_LONGEST = 3


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    if named is not None:
        return ID in named
    said = fields.folded(config.get("quantization_method") or "")
    return (
        ID in said
        or any(config.get(key) is True for key in _FLAGS)
        or any(fields.folded(config.get(key) or "") == ID for key in _VALUES)
        or "sinq_version" in config
        or MODULES in config
    )


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {}  # what describes a module says it all


def unfolded(content: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of what ``DESCRIBED_IN`` holds. It names no method: beside another's it is a leftover."""
    return {MODULES: dict(content)}


def schemes(config: Mapping[str, Any]) -> Schemes:
    entries = config.get(MODULES)
    if entries is None:
        raise MalformedCheckpoint(
            "bad-config-value",
            f"nothing says how modules are packed: sinq writes that to {DESCRIBED_IN}; fetch that file as well",
            where=MODULES,
        )
    if not isinstance(entries, Mapping) or not entries:
        raise fields.bad(MODULES, entries, "an object of descriptions by the names of modules")
    return Described(entries)


@dataclass(frozen=True)
class Described:
    """Schemes by what is said of each module."""

    entries: Mapping[str, Any]

    @property
    def default(self) -> Scheme:
        """That of the first module that is described."""
        packed = (name for name, entry in self.entries.items() if isinstance(entry, Mapping) and META in entry)
        return self._of(next(packed, next(iter(self.entries))))

    def scheme(self, module: str) -> Scheme:
        return self._of("" if set(self.entries) == {""} else module)

    def place(self, module: str) -> str | None:
        return f"{MODULES}.{module}"

    def _of(self, name: str) -> Scheme:
        place = f"{MODULES}.{fields.shown(name)[1:-1]}.{META}"
        entry = self.entries.get(name)
        meta = entry.get(META) if isinstance(entry, Mapping) else None
        if not isinstance(meta, Mapping):
            raise fields.bad(place, meta, "an object that says how the module is packed")
        return _scheme(meta, place)


def _scheme(meta: Mapping[str, Any], place: str) -> Scheme:
    packing, nbits, method = (meta.get(key) for key in ("packing", "nbits", "method"))
    if not isinstance(packing, str) or packing not in WIDTHS:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"packing {fields.shown(packing)} is not decoded; supported: {', '.join(WIDTHS)}",
            where=f"{place}.packing",
        )
    bits, said = WIDTHS[packing]
    if isinstance(nbits, bool) or not isinstance(nbits, (int, float)) or nbits not in said:
        raise MalformedCheckpoint(
            "config-contradiction", f"is {fields.shown(nbits)}, and packing {packing}", where=f"{place}.nbits"
        )
    if not isinstance(method, str):
        raise fields.bad(f"{place}.method", method, "a text")
    if isinstance(meta.get("axis"), bool) or meta.get("axis") != 1:
        raise fields.bad(f"{place}.axis", meta.get("axis"), "1, along which alone sinq packs")
    size = -1 if meta.get("group_size") is None else fields.group_size(meta, -1)
    shapes = tuple((key, _shape(meta, key, place)) for key in ("shape", "scale.shape", "zero.shape") if key in meta)
    if len(dict(shapes).get("shape", ())) != 2:
        raise fields.bad(f"{place}.shape", meta.get("shape"), "two positive numbers")
    if len(shapes) > 1 and _PACKED_PARAMETERS not in method.lower():
        raise MalformedCheckpoint(
            "config-contradiction",
            f"is {fields.shown(method)}, and scales or zero points are packed, which sinq then does not read",
            where=f"{place}.method",
        )
    return Scheme(
        dialect=ID,
        packing=ID,
        bits=bits,
        group_size=size,
        layout=_layout(meta, method.lower(), bits, packing, place),
        dtype=_dtype(meta, place),
        shapes=shapes,
    )


def _layout(meta: Mapping[str, Any], method: str, bits: int, packing: str, place: str) -> str:
    kind = NF3 if NF3 in method else NF4 if NF4 in method else UNIFORM
    if kind != UNIFORM and bits != int(kind[-1]):
        raise UnsupportedFormat(
            "unsupported-bits", f"codes of {kind} in {bits} bits are not decoded", where=f"{place}.nbits"
        )
    viewed = meta.get("view_as_float", False)
    if not isinstance(viewed, bool):
        raise fields.bad(f"{place}.view_as_float", viewed, "true or false")
    if viewed and packing.endswith("u8"):
        raise UnsupportedFormat(
            "unsupported-layout",
            "bytes that lie under the dtype of a float are not decoded, because sinq 0.2.0 saves such a module and "
            "cannot read it (TypeError: view() received an invalid combination of arguments - got (str))",
            where=f"{place}.view_as_float",
        )
    return kind + (AS_FLOATS if viewed else "")


def _dtype(meta: Mapping[str, Any], place: str) -> str:
    """The one in which codes are read; float16 where nothing says so."""
    found = meta.get("compute_dtype", "torch.float16")
    name = found.removeprefix("torch.") if isinstance(found, str) else None
    if name not in _DTYPES:
        raise fields.bad(f"{place}.compute_dtype", found, f"one of {', '.join(_DTYPES)}")
    return name


def _shape(meta: Mapping[str, Any], key: str, place: str) -> tuple[int, ...]:
    found = meta[key]
    if (
        not isinstance(found, (list, tuple))
        or len(found) > _LONGEST
        or not all(isinstance(size, int) and not isinstance(size, bool) and 0 < size < 2**31 for size in found)
    ):
        raise fields.bad(f"{place}.{key}", found, "a list of positive numbers")
    return tuple(found)
