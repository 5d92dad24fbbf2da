"""VPTQ: vectors of outputs from codebooks, residuals of them, outliers, an order of inputs, and a scale and bias each.

Formula: vptq 0.0.5.post1, ``utils/pack.py``: ``unpack_index_tensor`` takes a row of words for a stream of bits, lowest
first, of codes with their residuals above them. ``ops/quant_gemm.py``: ``dequant`` adds the entries of both codebooks,
puts outliers in front, takes the columns by ``argsort(perm)``, multiplies with the scale of each column and adds its
bias, each step in the dtype of the codebooks. ``layers/vqlinear.py`` says what the settings mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..config import Config, setting
from ..unpacked import Refused, check_shape

SLUG = "vptq"
MARKS = ("indices", "centroids.weight")
_RESIDUALS, _FEW = "res_centroids.weight", ("outlier_indices", "outlier_centroids.weight")
_NORM = ("weight_scale", "weight_bias")
LEAVES = (*MARKS, _RESIDUALS, *_FEW, "perm", *_NORM)
_FLOATS = (torch.float16, torch.bfloat16, torch.float32)
_FIXED = {"is_indice_packed": True, "indices_as_float": False, "vector_quant_dim": "out"}
_MOST = 2**31


@dataclass
class Vectors:
    """Columns [out, in] of the codebooks, the input ``perm`` int64 of each of them or None, scale and bias of inputs or
    None, all floats of one dtype."""

    columns: torch.Tensor
    perm: torch.Tensor | None
    norm: tuple[torch.Tensor, torch.Tensor] | None

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """``W`` [out, in], then cast."""
        weight = self.columns if self.perm is None else self.columns[:, torch.argsort(self.perm)]
        if self.norm is not None:
            weight = weight * self.norm[0] + self.norm[1]
        return weight.to(dtype or weight.dtype)


def names(config: Config) -> bool:
    return str(setting(config, "quant_method")).lower() == "vptq"


def _own(config: Config) -> Mapping[str, Any]:
    """The settings of a module alone: the first ones there are."""
    for key in ("config_for_layers", "shared_layer_config"):
        entries = config.get(key)
        if entries is not None and not isinstance(entries, Mapping):
            raise Refused(f"{key} is {entries!r}, expected settings by names")
        for found in (entries or {}).values():
            if not isinstance(found, Mapping):
                raise Refused(f"settings are {found!r}, expected an object")
            return found
    raise Refused("no settings of any module")


def _pair(own: Mapping[str, Any], key: str) -> tuple[int, int]:
    value = own.get(key)
    if not isinstance(value, (list, tuple)) or [type(number) for number in value] != [int, int]:
        raise Refused(f"{key} is {value!r}, expected two whole numbers")
    return value[0], value[1]


def _number(own: Mapping[str, Any], key: str, expected: range, absent: int | None = None) -> int:
    value = own.get(key, absent)
    if type(value) is not int or value not in expected:
        raise Refused(f"{key} is {value!r}")
    return value


def _width(entries: int, widths: range) -> int:
    found = next((bits for bits in widths if 1 << bits == entries), None)
    if found is None:
        raise Refused(f"{entries} entries, expected a power of two")
    return found


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Vectors:
    """One module taken apart; Refused where the formula does not apply."""
    own = _own(config)
    for key, value in _FIXED.items():
        if own.get(key, value) != value:
            raise Refused(f"{key} is {own[key]!r}")
    (tall, vector), (few, entries), (never, extra) = (
        _pair(own, key) for key in ("vector_lens", "num_centroids", "num_res_centroids")
    )
    bits = _width(entries, range(1, 17))
    # A residual's code is cut to as many bits as a code has.
    more = _width(extra, range(1, bits + 1)) if extra > 0 else 0
    books, outliers = _number(own, "group_num", range(1, _MOST)), _number(own, "outlier_size", range(_MOST))
    if vector < 1 or (tall > 1 and few > 0) != (outliers > 0) or (outliers and never != -1):
        raise Refused("settings of vectors and of outliers that VQuantLinear does not take")
    perm, norm = own.get("enable_perm"), own.get("enable_norm")
    if type(perm) is not bool or type(norm) is not bool:
        raise Refused("enable_perm and enable_norm are true or false")
    due = {*MARKS} | ({_RESIDUALS} if more else set()) | (set(_FEW) if outliers else set())
    due |= ({"perm"} if perm else set()) | (set(_NORM) if norm else set())
    if tensors.keys() - {"bias"} != due:
        raise Refused(f"tensors {sorted(tensors)}, expected {sorted(due)}")
    dtype = tensors[MARKS[1]].dtype
    for name in due & {MARKS[1], _RESIDUALS, _FEW[1], *_NORM}:
        if dtype not in _FLOATS or tensors[name].dtype != dtype or not tensors[name].isfinite().all():
            raise Refused(f"{name} is {tensors[name].dtype}, expected finite floats of the codebooks' dtype")
    inputs, group = _sizes(own, tensors, books, outliers)
    words = tensors["indices"]
    if words.dtype != torch.int32 or words.ndim != 3 or 0 in words.shape:
        raise Refused(f"indices are {words.dtype} {tuple(words.shape)}")
    out = _number(own, "out_features", range(-1, _MOST), -1)
    if out == 0:
        raise Refused("no outputs")
    out = words.shape[1] * vector if out == -1 else out
    check_shape("indices", words, (books, -(-out // vector), -(-group * (bits + more) // 32)))
    codes = _fields(words, bits + more, group)
    columns = _columns(codes % 2**bits, tensors[MARKS[1]], (books, entries, vector), out)
    if more:
        columns = columns + _columns(codes >> bits, tensors[_RESIDUALS], (books, 2**more, vector), out)
    if outliers:
        marks = _unsigned(_FEW[0], tensors[_FEW[0]], (1, -(-out // tall), outliers))
        if marks.max() >= few:
            raise Refused("a code of outliers is that of no entry")
        columns = torch.cat([_columns(marks, tensors[_FEW[1]], (1, few, tall), out), columns], dim=1)
    order = _unsigned("perm", tensors["perm"], (inputs,)) if perm else None
    if order is not None and not torch.equal(order.sort().values, torch.arange(inputs)):
        raise Refused("perm does not hold each input once")
    if norm:
        for name in _NORM:
            check_shape(name, tensors[name], (inputs,))
    return Vectors(columns, order, (tensors[_NORM[0]], tensors[_NORM[1]]) if norm else None)


def _sizes(own: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], books: int, outliers: int) -> tuple[int, int]:
    """Inputs, and those of each codebook; -1 leaves it to the tensors."""
    said = _number(own, "group_size", range(-1, _MOST))
    inputs = _number(own, "in_features", range(-1, _MOST), -1)
    if not said or not inputs:
        raise Refused("no inputs")
    if inputs == -1 and said > 0:
        inputs = outliers + books * said
    if inputs == -1:
        told = [tensors[name].shape[0] for name in (_NORM[0], "perm") if name in tensors and tensors[name].ndim]
        if not told:
            raise Refused("nothing says how many inputs there are")
        inputs = told[0]
    group = (inputs - outliers) // books
    if group < 1 or group * books + outliers != inputs or said not in (-1, group):
        raise Refused(f"{inputs} inputs are not {books} groups of {said} and {outliers} outliers")
    return inputs, group


def _unsigned(name: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    if tensor.dtype not in (torch.int16, torch.uint16):
        raise Refused(f"{name} is {tensor.dtype}, expected 16 bits")
    check_shape(name, tensor, shape)
    return tensor.view(torch.int16).to(torch.int64) & 0xFFFF


def _fields(words: torch.Tensor, bits: int, count: int) -> torch.Tensor:
    """int64 [..., count] of the streams of bits in words [..., n]."""
    stream = ((words[..., None] >> torch.arange(32)) & 1).flatten(-2)[..., : count * bits]
    return (stream.reshape(*stream.shape[:-1], count, bits).to(torch.int64) << torch.arange(bits)).sum(-1)


def _columns(codes: torch.Tensor, tables: torch.Tensor, shape: tuple[int, int, int], out: int) -> torch.Tensor:
    """Entries of codes [books, rows, group] side by side, without outputs of padding: [out, books * group]."""
    check_shape("centroids", tables, (shape[0], shape[1] * shape[2]))
    found = [table[own].transpose(1, 2).flatten(0, 1) for own, table in zip(codes, tables.view(shape), strict=True)]
    return torch.cat(found, dim=1)[:out]


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """Codes ``q`` [out, in] stand for themselves in one codebook of single outputs; there are no groups to scale."""
    bits = _width(_pair(_own(config), "num_centroids")[1], range(1, 17))
    fields = (q[:, :, None] >> torch.arange(bits)) & 1
    stream = torch.nn.functional.pad(fields.flatten(1).to(torch.int64), (0, -q.shape[1] * bits % 32))
    words = (stream.reshape(len(stream), -1, 32) << torch.arange(32)).sum(-1)
    return {
        "indices": torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)[None],
        "centroids.weight": torch.arange(2**bits).reshape(1, -1).to(s.dtype),
    }
