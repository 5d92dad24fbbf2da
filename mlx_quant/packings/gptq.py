"""GPTQ as AutoGPTQ, GPTQModel and AutoRound write it (``checkpoint_format`` ``gptq`` and ``gptq_v2``).

On disk, torch's [in, out] orientation: ``qweight`` int32 [ceil(in * bits / 32), out] packs codes along ``in`` as a
little-endian bit stream; ``qzeros`` int32 [groups, ceil(out * bits / 32)] packs along ``out`` and holds the zero point
(``gptq_v2``) or that minus one (``gptq``); ``scales`` [groups, out]; ``g_idx`` int32 [in], the group of each input
channel, absent when groups are consecutive. Transposed, ``qweight`` is MLX's packed layout as it stands. Source:
auto_gptq 0.7.1, ``nn_modules/qlinear/qlinear_cuda*.py``.
"""

from __future__ import annotations

import struct
from typing import Any

import mlx.core as mx
import numpy as np

from ..dialects.schemes import Scheme
from ..weights import device
from ..weights.bits import as_array, as_words, fields_in, unpack, unpack_few, words_for
from ..weights.compiled import fused
from ..weights.device import Stored
from ..weights.host import extremes
from ..weights.integer import Integer
from ..weights.words import Columns
from . import checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "gptq"
TITLE = "GPTQ"
STATUS: Status = "enabled"
BITS = (2, 3, 4, 5, 6, 7, 8)
LAYOUTS = ("gptq", "gptq_v2")
MARKS = (".qweight", ".qzeros", ".scales", ".g_idx")
TENSORS = MARKS
TRAITS = Traits(passed=(".qweight",))

# Versions, from and before, that made v1 zero points by a subtraction over whole words, by producer and width.
# AutoRound sums shifted fields that are one less: in 0.7.1 to 0.15.0; since 0.16.0 it stores a zero point of 0 as if it
# were 1.
_Versions = tuple[tuple[int, ...], tuple[int, ...]]
_NEVER: tuple[int, ...] = (1 << 30,)
_WRITTEN_BY_SUBTRACTION: dict[str, dict[int, _Versions]] = {
    "gptqmodel": {2: ((0, 9), _NEVER), 3: ((0, 9), (7,)), 4: ((0, 9), _NEVER), 8: ((0, 9), _NEVER)},
    "autoround": dict.fromkeys((2, 4, 8), ((0, 7, 1), (0, 16))),
}
# What they subtracted at 3 bits, by the place of a word among three, where ones in every field would be 0x49249249,
# 0x92492492, 0x24924924; and what that makes of zero points that are all 4. Source: GPTQModel before 8e8ff117b (#2763),
# gptqmodel/utils/model.py, convert_gptq_v2_to_v1_format_module.
_SUBTRACTED_AT_3 = (0x24924924, 0x92492492, 0x49249249)
_FOURS_AT_3 = (0x00000000, 0xB6DB6DB7, 0x49249249)
# What each label stores for a zero point, less the zero point.
_OFFSET = {"gptq": -1, "gptq_v2": 0}


def recognises(infos: Infos) -> bool:
    if not {"qweight", "scales"} <= infos.keys() or infos["qweight"].dtype not in checks.WORDS:
        return False
    qweight, scales = infos["qweight"].shape, infos["scales"].shape
    return len(qweight) == len(scales) == 2 and qweight[1] == scales[1]


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS)
    # A producer that leaves sym out means true, and only asymmetric weights cannot do without their zero points.
    checks.present(infos, ("qweight", "scales", *(("qzeros",) if scheme.sym is False else ())), TENSORS)
    rows, out_features = checks.words(infos, "qweight")
    if checks.scales(infos)[1] != out_features:
        raise checks.bad_shape(infos, "qweight", f"scales have {infos['scales'].shape[1]} columns, one for each output")
    in_features = checks.inputs(infos, "qweight", rows, scheme.bits, scheme.group_size)
    _, groups = checks.groups(infos, scheme.group_size, in_features)
    checks.mapped(scheme, infos, groups)
    if "qzeros" in infos:
        expected = (groups, words_for(out_features, scheme.bits))
        if checks.words(infos, "qzeros") != expected:
            raise checks.bad_shape(
                infos, "qzeros", f"{groups} groups of {out_features} zero points take {list(expected)}"
            )
    return Measured(out_features, in_features, infos["scales"].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Integer:
    found = measure(scheme, checks.headers(tensors))
    largest = checks.finite(tensors)
    groups = tensors["scales"].shape[0]
    size = found.in_features if groups == 1 else scheme.group_size
    return Integer(
        words=Columns(as_words(tensors["qweight"])),
        zeros=_zero_points(scheme, tensors, (groups, found.out_features)),
        scales=tensors["scales"],
        bits=scheme.bits,
        in_features=found.in_features,
        group_size=size,
        group_index=checks.group_index(tensors.get("g_idx"), found.in_features, size, groups),
        largest=largest,
    )


def _zero_points(scheme: Scheme, tensors: Tensors, shape: tuple[int, int]) -> mx.array | Stored:
    if scheme.sym is False and scheme.bits in device.BITS and device.reads() and not _borrowed(scheme):
        return Stored(tensors["qzeros"], -_OFFSET[scheme.layout])
    if "qzeros" not in tensors or _misconverted(scheme, tensors):
        return mx.full(shape, _middle(scheme), dtype=mx.uint8)
    if scheme.layout != "gptq_v2" and _borrowed(scheme):
        words = as_words(tensors["qzeros"]) + _subtracted(scheme.bits, tensors["qzeros"].shape[1])
        return mx.contiguous(unpack(words, scheme.bits, shape[1]))
    # Those of a symmetric module are all the other label's where its label is wrong; a GPU is not waited for to say so.
    other = None if scheme.sym is False else _other_middle(scheme)
    plan = other, _middle(scheme), -_OFFSET[scheme.layout], (1 << scheme.bits) - 1
    return as_array(fused(_meant, *plan)(_stored(scheme, tensors)))


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    fields = _stored(scheme, tensors)
    if fields is None:
        return []
    if _misconverted(scheme, tensors):
        return ["zero points are what GPTQModel before 7.0.0 made of symmetric 3-bit ones; decoded as 4"]
    low, high = extremes(fields)
    labelled = _middle(scheme) + _OFFSET[scheme.layout]
    if low == high == _other_middle(scheme) and scheme.sym is False:
        return [
            f"sym is false, yet every zero point is stored as {low}, which symmetric weights have under another "
            f"layout than {scheme.layout!r}; decoded as labelled"
        ]
    if low == high == _other_middle(scheme):
        return [
            f"labelled {scheme.layout!r}, but its symmetric zero points are stored as {low}, not {labelled}; "
            "decoded by the data"
        ]
    if scheme.sym and not low == high == labelled:
        return [f"sym is true, yet zero points differ ({low} to {high} as stored); decoded as stored"]
    return []


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    """Group indices as ``desc_act`` promises them, zero points in the middle, everything else zero."""
    info = infos[leaf]
    if leaf == "g_idx":
        return checks.group_map(info, scheme.group_size, ordered=scheme.desc_act and not scheme.static_groups)
    if leaf == "qzeros":
        row = _row_of(_middle(scheme) + _OFFSET[scheme.layout], scheme.bits, info.shape[-1])
        return mx.contiguous(mx.broadcast_to(row.view(info.mlx_dtype), info.shape))
    return mx.zeros(info.shape, info.mlx_dtype)


def _row_of(field: int, bits: int, count: int) -> mx.array:
    """uint32 [count], as many equal fields as fit, and zeros after them. 32 fields fill ``bits`` words."""
    run = sum(field << place * bits for place in range(32)).to_bytes(bits * 4, "little")
    words = _repeated(struct.unpack(f"<{bits}I", run), count)
    beyond = count * 32 - fields_in(count, bits) * bits
    return words & mx.where(mx.arange(count) == count - 1, 0xFFFFFFFF >> beyond, 0xFFFFFFFF).astype(mx.uint32)


def _middle(scheme: Scheme) -> int:
    """The zero point of symmetric weights."""
    return 1 << (scheme.bits - 1)


def _other_middle(scheme: Scheme) -> int:
    """What the other label than the one given stores for symmetric weights."""
    (other,) = (offset for label, offset in _OFFSET.items() if label != scheme.layout)
    return _middle(scheme) + other


def _stored(scheme: Scheme, tensors: Tensors) -> Any:
    """The fields of ``qzeros``, uint8 [groups, out], as they are stored; as :func:`unpack_few`."""
    if "qzeros" not in tensors:
        return None
    return unpack_few(as_words(tensors["qzeros"]), scheme.bits, tensors["scales"].shape[1])


def _meant(fields: Any, other: int | None, middle: int, added: int, mask: int) -> Any:
    """Zero points of fields, MLX's or NumPy's; ``middle`` where all fields are ``other``.

    A field of all ones under the label ``gptq`` decodes to 0. AutoGPTQ's own readers give 16 or 0 there; its quantiser
    only makes zero points 0 to 15, so the writer meant 0 (docs/policies.md).
    """
    own: Any = np if isinstance(fields, np.ndarray) else mx
    found = (fields + added) & mask
    if other is not None:
        found = own.where(own.all(fields == other), middle, found)
    return found.astype(own.uint8)


def _subtracted(bits: int, count: int) -> mx.array:
    """What GPTQModel subtracted from each of ``count`` words: ones in every field, except at 3 bits."""
    if bits == 3:
        return _repeated(_SUBTRACTED_AT_3, count)
    return _repeated((0xFFFFFFFF // ((1 << bits) - 1),), count)


def _repeated(words: tuple[int, ...], count: int) -> mx.array:
    return mx.array([words[place % len(words)] for place in range(count)], dtype=mx.uint32)


def _misconverted(scheme: Scheme, tensors: Tensors) -> bool:
    """Whether 3-bit zero points of a symmetric module are what GPTQModel before 7.0.0 made of fours."""
    if scheme.bits != 3 or scheme.layout != "gptq" or scheme.sym is False or "qzeros" not in tensors:
        return False
    words = as_words(tensors["qzeros"])
    return bool(mx.all(words == _repeated(_FOURS_AT_3, words.shape[1])).item())


def _borrowed(scheme: Scheme) -> bool:
    """Whether stored zero points were made by one subtraction over the whole packed word.

    Then an asymmetric zero of 0 borrows from its neighbours, and only an addition over the whole word gives them back.
    """
    if scheme.producer is None or scheme.sym is not False:
        return False
    name, version = scheme.producer
    since, until = _WRITTEN_BY_SUBTRACTION.get(name, {}).get(scheme.bits, (_NEVER, _NEVER))
    return since <= version < until
