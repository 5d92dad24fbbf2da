"""SINQ: codes in rows of a group each, less a zero point, times a scale of the group, times a scale of the input.

Formulas: sinq 0.2.0, ``bitpack.py`` and ``quantizer.py``, ``Quantizer.dequantize`` and ``dq8``. Dtypes are left to
PyTorch, as sinq leaves them: codes in ``compute_dtype``, everything else as it is stored, and a cast at the end, which
codes of NF3 and NF4 do not get.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..config import Config
from ..unpacked import Refused, check_shape

SLUG = "sinq"
# By packing: bits of a code, codes a word, the dtype of a word, and what may be said of the width.
PACKINGS = {
    "8bit_u8": (8, 1, torch.uint8, (8,)),
    "6bit_32": (6, 5, torch.int32, (6,)),
    "5bit_32": (5, 6, torch.int32, (5,)),
    "4bit_u8": (4, 2, torch.uint8, (4,)),
    "3bit_32": (3, 10, torch.int32, (3,)),
    "2bit_u8": (2, 4, torch.uint8, (2, 1.58)),
    "1bit_u8": (1, 8, torch.uint8, (1,)),
}
PARTS = ("x", "s", "m")
LEAVES = (
    "W_q",
    *(f"meta.{name}{part}" for name in ("scale", "zero") for part in ("", *(f".{part}" for part in PARTS))),
    "meta.scale2",
)
DTYPES = {"torch.float16": torch.float16, "torch.bfloat16": torch.bfloat16, "torch.float32": torch.float32}
NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334),
    *(-0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
NF3 = (
    *(-1.0, -0.5350227355957031, -0.2469314038753510, 0.0, 0.1833375245332718, 0.3819939494132996),
    *(0.6229856610298157, 1.0),
)


def names(config: Config) -> bool:
    method = config.get("quant_method") or config.get("quantization_method")
    return "sinq" in str(method).lower() if method else "modules" in config


@dataclass
class Crossed:
    """Rows of codes or levels; zero points and scales that broadcast to them; scales of inputs of bands of outputs."""

    values: torch.Tensor
    zeros: torch.Tensor
    scales: torch.Tensor
    columns: torch.Tensor
    shape: tuple[int, int]
    cast: torch.dtype | None

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        rows = ((self.values - self.zeros) * self.scales).reshape(self.shape)
        out, inputs = self.shape
        found = (rows.reshape(len(self.columns), -1, inputs) * self.columns[:, None]).reshape(out, inputs)
        own = found if self.cast is None else found.to(self.cast)
        return own.to(dtype or own.dtype)


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Crossed:
    """Codes, zero points and both kinds of scales of one module; Refused where the formula does not apply."""
    meta = described(config)
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    bits, held, word, _ = PACKINGS[meta["packing"]]
    out, inputs = meta["shape"]
    if "W_q" not in tensors or "meta.scale2" not in tensors:
        raise Refused("W_q or meta.scale2 is missing")
    words, columns = tensors["W_q"], tensors["meta.scale2"]
    if words.ndim != 2 or 0 in words.shape:
        raise Refused(f"W_q has shape {tuple(words.shape)}, expected two axes")
    if meta.get("view_as_float", False):
        if words.dtype not in DTYPES.values() or words.shape[1] * words.element_size() % word.itemsize:
            raise Refused(f"W_q is {words.dtype}, expected a float")
        words = words.contiguous().view(word)
    group = words.shape[1]
    if words.dtype != word or inputs % group:
        raise Refused(f"W_q is {words.dtype} {tuple(words.shape)} for {inputs} inputs")
    rows = out * inputs // group
    if word == torch.uint8 and rows % held:
        raise Refused(f"{rows} rows do not fill words of {held}")
    check_shape("W_q", words, (-(-rows // held), group))
    planes = [(words >> (bits * (held - 1 - place))) & ((1 << bits) - 1) for place in range(held)]
    codes = torch.cat(planes)[:rows]
    tiles = columns.ndim == 3
    if tiles and out % group:
        raise Refused(f"{out} outputs are no whole tiles of {group}")
    due = (rows // group, group, 1) if tiles else (rows, 1)
    check_shape("meta.scale2", columns, (rows // group, 1, group) if tiles else (1, inputs))
    scales, zeros = (_parameters(meta, tensors, name, due) for name in ("scale", "zero"))
    if columns.dtype != scales.dtype or zeros.dtype != scales.dtype or not columns.isfinite().all():
        raise Refused(f"scales are {scales.dtype}, zero points {zeros.dtype}, and those of inputs {columns.dtype}")
    if tiles:
        scales, zeros = (
            value if value.ndim == 0 else value.reshape(out // group, -1, group).transpose(1, 2).reshape(rows, 1)
            for value in (scales, zeros)
        )
    method = str(meta["method"]).lower()
    codebook = NF3 if "nf3" in method else NF4 if "nf4" in method else None
    cast: torch.dtype | None = DTYPES[meta.get("compute_dtype", "torch.float16")]
    values = codes.to(cast)
    if codebook is not None:
        values, cast = torch.tensor(codebook).to(scales.dtype)[codes.long()], None
    return Crossed(values, zeros, scales, columns.reshape(-1, inputs), (out, inputs), cast)


def described(config: Config) -> dict[str, Any]:
    """What the file says of the module; Refused for what sinq would not have written."""
    entries = config.get("modules")
    entry = entries.get("") if isinstance(entries, dict) else None
    meta = entry.get("meta") if isinstance(entry, dict) else None
    if not isinstance(meta, dict):
        raise Refused("nothing describes the module")
    packing, nbits, method = meta.get("packing"), meta.get("nbits"), meta.get("method")
    if not isinstance(packing, str) or packing not in PACKINGS:
        raise Refused(f"packing is {packing!r}")
    if type(nbits) not in (int, float) or nbits not in PACKINGS[packing][3]:
        raise Refused(f"nbits is {nbits!r}, and packing {packing}")
    if type(meta.get("axis")) is not int or meta["axis"] != 1 or not isinstance(method, str):
        raise Refused(f"axis is {meta.get('axis')!r}, method {method!r}")
    size, viewed = meta.get("group_size"), meta.get("view_as_float", False)
    if size is not None and (type(size) is not int or size < 1):
        raise Refused(f"group_size is {size!r}")
    if type(viewed) is not bool or (viewed and packing.endswith("u8")):
        raise Refused(f"view_as_float is {viewed!r}, and packing {packing}")
    for kind in ("nf3", "nf4"):
        if kind in method.lower() and PACKINGS[packing][0] != int(kind[-1]):
            raise Refused(f"{kind} with packing {packing}")
    if meta.get("compute_dtype", "torch.float16") not in list(DTYPES):
        raise Refused(f"compute_dtype is {meta.get('compute_dtype')!r}")
    if len(_sizes(meta, "shape")) != 2:
        raise Refused(f"shape is {meta.get('shape')!r}")
    if any(f"{name}.shape" in meta for name in ("scale", "zero")) and "quantaux" not in method.lower():
        raise Refused(f"scales are packed, and method is {method!r}")
    return meta


def _sizes(meta: Mapping[str, Any], key: str) -> tuple[int, ...]:
    found = meta.get(key)
    if not isinstance(found, list) or len(found) > 3 or not all(type(size) is int and size > 0 for size in found):
        raise Refused(f"{key} is {str(found)[:100]}")
    return tuple(found)


def _parameters(
    meta: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], name: str, due: tuple[int, ...]
) -> torch.Tensor:
    """Scales or zero points in their own shape, which for zero points may be that of one number."""
    plain, packed = f"meta.{name}", [f"meta.{name}.{part}" for part in PARTS]
    apart = f"{name}.shape" in meta
    if any(leaf not in tensors for leaf in (packed if apart else [plain])):
        raise Refused(f"{plain} is missing")
    if any(leaf in tensors for leaf in ([plain] if apart else packed)):
        raise Refused(f"{plain} is stored in two ways")
    if not apart:
        found = tensors[plain]
    else:
        x, s, m = (tensors[leaf] for leaf in packed)
        shape = _sizes(meta, f"{name}.shape")
        if x.dtype != torch.uint8 or x.ndim != 2 or x.numel() != int(torch.tensor(shape).prod()):
            raise Refused(f"{plain}.x is {x.dtype} {tuple(x.shape)}, of {list(shape)}")
        for value in (s, m):
            check_shape(plain, value, (1, x.shape[1]))
        if s.dtype != m.dtype or not (s.isfinite().all() and m.isfinite().all()):
            raise Refused(f"{plain}: {s.dtype} and {m.dtype}, expected finite floats")
        found = (x * s + m).view(shape)
    if found.dtype not in DTYPES.values() or not found.isfinite().all():
        raise Refused(f"{plain} is {found.dtype}, or not finite")
    if found.shape != due and not (name == "zero" and found.ndim == 0):
        raise Refused(f"{plain} has shape {tuple(found.shape)}, expected {due}")
    return found


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """``q`` [out, in], ``z`` and ``s`` [groups, out]; groups are consecutive inputs, and scales of inputs 1."""
    if g is not None:
        raise Refused("SINQ has no group index")
    meta = config["modules"][""]["meta"]
    bits, held, word, _ = PACKINGS[meta["packing"]]
    folded = q.reshape(-1, q.shape[1] // len(s)).to(torch.int32)
    height = -(-len(folded) // held)
    parts = torch.nn.functional.pad(folded, (0, 0, 0, height * held - len(folded))).reshape(held, height, -1)
    words = sum(parts[place] << (bits * (held - 1 - place)) for place in range(held))
    return {
        "W_q": torch.as_tensor(words).to(word),
        "meta.scale": s.T.reshape(-1, 1).contiguous(),
        "meta.zero": z.T.reshape(-1, 1).to(s.dtype).contiguous(),
        "meta.scale2": torch.ones(1, q.shape[1], dtype=s.dtype),
    }
