"""HQQ: codes in rows of bytes, zero points that are floats, and tensors that say how.

Formulas: hqq 0.2.8.post1, ``core/bitpack.py`` and ``core/quantize.py``, ``Quantizer.dequantize``: codes in the dtype of
the scales, less the zero point, times the scale, and the whole reshaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..config import Config
from ..unpacked import Refused, check_shape

SLUG = "hqq"
# By packing: bits of a code, codes a word, the dtype of a word, and what may be said of the width.
PACKINGS = {
    "8bit_u8": (8, 1, torch.uint8, (8.0, 6.0, 5.0)),
    "4bit_u8": (4, 2, torch.uint8, (4.0,)),
    "3bit_32": (3, 10, torch.int32, (3.0,)),
    "2bit_u8": (2, 4, torch.uint8, (2.0, 1.58)),
    "1bit_u8": (1, 8, torch.uint8, (1.0,)),
}
NEEDED = ("W_q", "scale", "zero", "shape", "nbits", "group_size", "axis", "packing")
LEAVES = (
    *NEEDED,
    *("compute_dtype", "view_as_float", "unpack_view_dtype", "quant_zero", "quant_scale", "channel_wise"),
    *("optimize", "round_zero", "offload_meta", "encoded_state_dict", "stores_quant_config"),
)
FLOATS = (torch.float16, torch.bfloat16, torch.float32)


def names(config: Config) -> bool:
    return str(config.get("quant_method") or config.get("method")).lower() == "hqq"


@dataclass
class Folded:
    """Codes [rows, columns] as they are folded; zero points and scales [rows, 1] or [1, columns]; the shape."""

    codes: torch.Tensor
    zeros: torch.Tensor
    scales: torch.Tensor
    shape: tuple[int, int]

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Two roundings, in the dtype of the scales; one more where another dtype is asked for."""
        found = (self.codes.to(self.scales.dtype) - self.zeros) * self.scales
        return found.reshape(self.shape).to(dtype or self.scales.dtype)


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Folded:
    """Codes, zero points and scales of one module; Refused where the formula does not apply."""
    _check_config(config)
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    if lacking := [name for name in NEEDED if name not in tensors]:
        raise Refused(f"{lacking[0]} is missing")
    packing = _text(tensors["packing"])
    if packing not in PACKINGS:
        raise Refused(f"packing {packing!r}")
    bits, held, word, widths = PACKINGS[packing]
    nbits = tensors["nbits"]
    if nbits.numel() != 1 or round(float(nbits), 4) not in widths:
        raise Refused(f"nbits {nbits}, and packing {packing}")
    shape = _numbers(tensors["shape"])
    axis, group = _number(tensors["axis"]), _number(tensors["group_size"])
    if len(shape) != 2 or min(*shape, group) < 1 or axis not in (0, 1):
        raise Refused(f"shape {shape}, group size {group}, axis {axis}")
    count = shape[0] * shape[1]
    if count % group:
        raise Refused(f"{count} weights are no whole groups of {group}")
    rows = count // group if axis else group
    scales, zeros = tensors["scale"], tensors["zero"]
    _check_floats(scales, zeros, tensors)
    for name, tensor in (("scale", scales), ("zero", zeros)):
        check_shape(name, tensor, (rows, 1) if axis else (1, count // rows))
    words = tensors["W_q"]
    if words.ndim != 2:
        raise Refused(f"W_q has shape {tuple(words.shape)}, expected two axes")
    if _flag(tensors, "view_as_float", False):
        if words.dtype not in FLOATS or words.shape[1] * words.element_size() % word.itemsize:
            raise Refused(f"W_q is {words.dtype}, expected a float")
        words = words.contiguous().view(word)
    if words.dtype != word or (bits != 3 and rows % held):
        raise Refused(f"W_q is {words.dtype} for {rows} rows of {bits} bits")
    check_shape("W_q", words, (-(-rows // held), count // rows))
    planes = [(words >> (bits * (held - 1 - place))) & ((1 << bits) - 1) for place in range(held)]
    return Folded(torch.cat(planes)[:rows], zeros, scales, (shape[0], shape[1]))


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """``q`` [out, in], ``z`` and ``s`` [groups, out]; groups are consecutive inputs, along axis 1."""
    if g is not None:
        raise Refused("HQQ has no group index")
    bits = int(config["quant_config"]["weight_quant_params"]["nbits"])
    packing, (_, held, word, _) = next((name, own) for name, own in PACKINGS.items() if own[0] == bits)
    folded = q.reshape(-1, q.shape[1] // len(s)).to(torch.int32)
    height = -(-len(folded) // held)
    filled = torch.nn.functional.pad(folded, (0, 0, 0, height * held - len(folded)))
    parts = filled.reshape(held, height, -1)
    words = sum(parts[place] << (bits * (held - 1 - place)) for place in range(held))
    number = {"nbits": bits, "group_size": folded.shape[1], "axis": 1}
    return {
        "W_q": torch.as_tensor(words).to(word),
        "scale": s.T.reshape(-1, 1).contiguous(),
        "zero": z.T.reshape(-1, 1).to(s.dtype).contiguous(),
        "shape": torch.tensor(tuple(q.shape)),
        "packing": torch.tensor([ord(letter) for letter in packing], dtype=torch.uint8),
        **{name: torch.tensor(value, dtype=torch.int32) for name, value in number.items()},
    }


def _check_config(config: Config) -> None:
    """Only that it says something hqq could have been told; tensors say the rest."""
    said = config.get("quant_config")
    if not isinstance(said, dict) or not any(value is not None for value in said.values()):
        raise Refused(f"quant_config is {said!r}")
    for own in [said] if "weight_quant_params" in said else [value for value in said.values() if value is not None]:
        params = own.get("weight_quant_params", own) if isinstance(own, dict) else None
        if not isinstance(params, dict):
            raise Refused(f"weight_quant_params is {params!r}")
        nbits, axis, group = params.get("nbits", 4), params.get("axis", 1), params.get("group_size", 64)
        widths = [width for *_, several in PACKINGS.values() for width in several]
        if type(nbits) not in (int, float) or nbits not in widths or type(axis) is not int or axis not in (0, 1):
            raise Refused(f"nbits is {nbits!r}, axis is {axis!r}")
        if group is not None and (type(group) is not int or group < 1):
            raise Refused(f"group_size is {group!r}")


def _check_floats(scales: torch.Tensor, zeros: torch.Tensor, tensors: Mapping[str, torch.Tensor]) -> None:
    if scales.dtype not in FLOATS or zeros.dtype != scales.dtype:
        raise Refused(f"scales are {scales.dtype} and zero points {zeros.dtype}")
    if not (scales.isfinite().all() and zeros.isfinite().all()):
        raise Refused("scales or zero points are not all finite")
    if "compute_dtype" in tensors and _text(tensors["compute_dtype"]) != str(scales.dtype):
        raise Refused(f"compute_dtype is {_text(tensors['compute_dtype'])!r}, and scales are {scales.dtype}")
    word = PACKINGS[_text(tensors["packing"])][2]
    if "unpack_view_dtype" in tensors and _text(tensors["unpack_view_dtype"]) != str(word):
        raise Refused(f"unpack_view_dtype is {_text(tensors['unpack_view_dtype'])!r}, and words are {word}")
    for name, due in (("quant_zero", False), ("quant_scale", False), ("channel_wise", True)):
        if _flag(tensors, name, due) != due:
            raise Refused(f"{name} is {not due}")


def _numbers(tensor: torch.Tensor) -> list[int]:
    if tensor.dtype not in (torch.int32, torch.int64, torch.uint8) or tensor.numel() > 64:
        raise Refused(f"{tensor.dtype} {tuple(tensor.shape)}, expected a few integers")
    return [int(number) for number in tensor.reshape(-1)]


def _number(tensor: torch.Tensor) -> int:
    found = _numbers(tensor)
    if len(found) != 1:
        raise Refused(f"{len(found)} numbers, expected one")
    return found[0]


def _flag(tensors: Mapping[str, torch.Tensor], name: str, default: bool) -> bool:
    return bool(_number(tensors[name])) if name in tensors else default


def _text(tensor: torch.Tensor) -> str:
    if tensor.dtype != torch.uint8:
        raise Refused(f"{tensor.dtype}, expected the characters of a text")
    return "".join(chr(number) for number in _numbers(tensor))
