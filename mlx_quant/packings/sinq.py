"""SINQ: codes in rows of a group each, with a scale and a zero point a row, and a second scale for each input.

On disk: ``W_q`` holds the matrix [out, in], flattened by rows and folded to rows of a group of neighbouring inputs.
The packing says how many parts the rows are cut into; a word holds a row of each, the first in its highest bits that
are used: ``8bit_u8``, ``4bit_u8``, ``2bit_u8`` and ``1bit_u8`` bytes, ``3bit_32``, ``5bit_32`` and ``6bit_32`` int32
words of 10, 6 and 5 codes, rows being filled up. ``meta.scale`` and ``meta.zero`` are [rows, 1] beside ``meta.scale2``
[1, in] (tiling 1D), or [tiles, group, 1] beside [tiles, 1, group], tiles of as many outputs as inputs (2D);
``meta.zero`` may be one number for all. Under ``quantAux`` a scale or zero point is ``RN(RN(x * s) + m)``, of bytes
``x`` [n, k] and floats ``s`` and ``m`` [1, k]. All else is said in a file of JSON.

    W = RN(RN'(RN'(RN'(q - zero) * scale) * scale2))

in the wider of the dtype that the file names and that of the scales, as PyTorch promotes them (float32 for float16 and
bfloat16), and then in the one that is named. A single zero point promotes nothing: it is rounded to the dtype of the
file, and so is the difference. Under ``nf3`` and ``nf4`` a code
stands for a level of a codebook, and everything is computed in the dtype of the scales, which the weight keeps.

Source: sinq 0.2.0, ``quantizer.py`` (``Quantizer.dequantize``, ``dq8``, ``rtn8``), ``bitpack.py``, ``dual_shift.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..dialects.sinq import AS_FLOATS, NF3, NF4, UNIFORM
from ..errors import MalformedCheckpoint
from ..files.folder import FLOATS
from ..weights.crossed import Crossed
from ..weights.shifted import Shifted
from . import checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "sinq"
TITLE = "SINQ"
STATUS: Status = "enabled"
BITS = (1, 2, 3, 4, 5, 6, 8)
LAYOUTS = (UNIFORM, NF3, NF4, UNIFORM + AS_FLOATS, NF3 + AS_FLOATS)
MARKS = (".W_q",)
# Buffers of the model, which sinq saves with it.
TRAITS = Traits(unread=(".rotary_emb.inv_freq", ".rotary_emb.original_inv_freq"))
# MLX's affine form rounds once.
ROUNDS_TWICE = True
_CODES, _COLUMNS = "W_q", "meta.scale2"
_PARAMETERS, _PARTS = ("scale", "zero"), (".x", ".s", ".m")
TENSORS = (
    ".W_q",
    *(f".meta.{name}{part}" for name in _PARAMETERS for part in ("", *_PARTS)),
    ".meta.scale2",
)

# Levels of NF3 and NF4 in float32. Source: quantizer.py.
_LEVELS: dict[str, tuple[float, ...]] = {
    NF3: (
        *(-1.0, -0.5350227355957031, -0.2469314038753510, 0.0, 0.1833375245332718, 0.3819939494132996),
        *(0.6229856610298157, 1.0),
    ),
    NF4: (
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635),
        *(-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725),
        *(0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941),
        *(0.7229568362236023, 1.0),
    ),
}
# By width: the dtype of a word, and the places of codes in it.
_WORDS: dict[int, tuple[str, tuple[int, ...]]] = {
    8: ("U8", (0,)),
    6: ("I32", (24, 18, 12, 6, 0)),
    5: ("I32", (25, 20, 15, 10, 5, 0)),
    4: ("U8", (4, 0)),
    3: ("I32", tuple(range(27, -1, -3))),
    2: ("U8", (6, 4, 2, 0)),
    1: ("U8", tuple(range(7, -1, -1))),
}
_WORD = {"U8": mx.uint8, "I32": mx.int32}


@dataclass(frozen=True)
class _Found:
    """Sizes of one module, and the dtype of its scales."""

    size: tuple[int, int]
    group: int
    bands: int
    params: mx.Dtype

    @property
    def rows(self) -> int:
        return self.size[0] * self.size[1] // self.group


def recognises(infos: Infos) -> bool:
    return _CODES in infos and any(name.startswith("meta.") for name in infos)


def measure(scheme: Scheme, infos: Infos) -> Measured:
    found = _measured(scheme, infos)
    return Measured(*found.size, _dtypes(scheme, found.params)[2])


def decode(scheme: Scheme, tensors: Tensors) -> Crossed:
    found = _measured(scheme, checks.headers(tensors))
    scales, zeros = (_parameters(scheme, tensors, name) for name in _PARAMETERS)
    checks.finite(tensors, _COLUMNS)
    single = zeros.shape == ()
    places = _places(found) if len(tensors[_COLUMNS].shape) == 3 else slice(None)
    first, rest, dtype = _dtypes(scheme, found.params, single)
    if single:
        zeros = mx.broadcast_to(zeros.astype(first).astype(mx.float32), (found.rows, 1))
    else:
        zeros = zeros.reshape(-1, 1)[places]
    word, shifts = _WORDS[scheme.bits]
    matrix = Shifted(
        words=mx.contiguous(tensors[_CODES]).view(_WORD[word]),
        shifts=shifts,
        bits=scheme.bits,
        count=found.rows,
        scales=scales.reshape(-1, 1)[places],
        zeros=zeros,
        size=found.size,
    )
    levels = _LEVELS.get(scheme.layout.removesuffix(AS_FLOATS))
    return Crossed(
        matrix=matrix,
        columns=tensors[_COLUMNS].reshape(found.bands, found.size[1]),
        first=first,
        rest=rest,
        dtype=dtype,
        levels=None if levels is None else mx.array(levels, dtype=mx.float32).astype(found.params),
    )


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    group = _measured(scheme, checks.headers(tensors)).group
    if group == (scheme.group_size if scheme.group_size != -1 else group):
        return []
    return [f"the file says groups of {scheme.group_size}, and the tensors of {group}, which is followed"]


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)


def _measured(scheme: Scheme, infos: Infos) -> _Found:
    checks.decoded(scheme, BITS, LAYOUTS, "packing")
    shapes = dict(scheme.shapes)
    leaves = {name: _leaves(name, f"{name}.shape" in shapes) for name in _PARAMETERS}
    own = (_CODES, *leaves["scale"], *leaves["zero"], _COLUMNS)
    checks.present(infos, own, TENSORS)
    for leaf in infos:
        if leaf not in (*own, checks.BIAS):
            raise MalformedCheckpoint(
                "unexpected-tensor", "is stored packed and plain at once, or the file does not say so", where=leaf
            )
    size, group, rows = _folded(scheme, infos, shapes["shape"])
    due, bands = _scales_due(infos, size, group, rows)
    for name, (codes, *_) in leaves.items():
        _checked(infos, name, leaves[name], due, shapes)
        if name == "zero":
            checks.dtype(infos, leaves[name][-1], (infos[leaves["scale"][-1]].dtype,))
        if codes.endswith(".x"):
            checks.dtype(infos, leaves[name][1], (infos[leaves[name][2]].dtype,))
    checks.dtype(infos, _COLUMNS, (infos[leaves["scale"][-1]].dtype,))
    return _Found(size, group, bands, infos[_COLUMNS].mlx_dtype)


def _leaves(name: str, packed: bool) -> tuple[str, ...]:
    return tuple(f"meta.{name}{part}" for part in (_PARTS if packed else ("",)))


def _folded(scheme: Scheme, infos: Infos, shape: tuple[int, ...]) -> tuple[tuple[int, int], int, int]:
    """The size of the matrix, inputs a group, and rows of groups, by the words that there are."""
    out, in_features = shape
    word, shifts = _WORDS[scheme.bits]
    checks.dtype(infos, _CODES, checks.SCALES if scheme.layout.endswith(AS_FLOATS) else (word,))
    height, width = checks.matrix(infos, _CODES)
    held = _WORD[word].size
    octets = width * infos[_CODES].mlx_dtype.size
    group, rest = divmod(octets, held)
    if rest or in_features % group:
        raise checks.bad_shape(infos, _CODES, f"{octets} bytes a row are no group of {in_features} inputs")
    rows = out * in_features // group
    if word == "U8" and rows % len(shifts):
        raise checks.bad_shape(infos, _CODES, f"{rows} groups do not fill words of {len(shifts)}")
    if height != -(-rows // len(shifts)):
        raise checks.bad_shape(infos, _CODES, f"{list(shape)} weights take {-(-rows // len(shifts))} rows of words")
    return (out, in_features), group, rows


def _scales_due(infos: Infos, size: tuple[int, int], group: int, rows: int) -> tuple[tuple[int, ...], int]:
    """The shape that scales must have beside those of inputs, and into how many bands the latter cut the outputs."""
    checks.floats(infos, _COLUMNS)
    found, (out, in_features) = infos[_COLUMNS].shape, size
    if found == (1, in_features):
        return (rows, 1), 1
    tiles = rows // group
    if out % group == 0 and found == (tiles, 1, group):
        return (tiles, group, 1), out // group
    raise checks.bad_shape(infos, _COLUMNS, f"expected [1, {in_features}], or tiles of {group} outputs and inputs")


def _checked(
    infos: Infos, name: str, leaves: tuple[str, ...], due: tuple[int, ...], shapes: dict[str, tuple[int, ...]]
) -> None:
    """Dtypes and shapes of a scale or zero point, packed or plain."""
    allowed = (due, ()) if name == "zero" else (due,)
    checks.floats(infos, leaves[-1])
    if len(leaves) == 1:
        if infos[leaves[0]].shape not in allowed:
            raise checks.bad_shape(infos, leaves[0], f"expected {list(due)}")
        return
    codes, *floats = leaves
    checks.dtype(infos, codes, ("U8",))
    _, columns = checks.matrix(infos, codes)
    said = shapes[f"{name}.shape"]
    if said not in allowed or infos[codes].size != math.prod(said):
        raise checks.bad_shape(infos, codes, f"the file says {list(said)}, expected {list(due)}")
    for leaf in floats:
        checks.floats(infos, leaf)
        if infos[leaf].shape != (1, columns):
            raise checks.bad_shape(infos, leaf, f"expected [1, {columns}]")


def _parameters(scheme: Scheme, tensors: Tensors, name: str) -> mx.array:
    """Scales or zero points as they mean to be, in their own shape; read and found finite."""
    said = dict(scheme.shapes).get(f"{name}.shape")
    leaves = _leaves(name, said is not None)
    for leaf in leaves[-2:]:
        if not leaf.endswith(".x"):
            checks.finite(tensors, leaf)
    if said is None:
        return tensors[leaves[0]]
    codes, steps, least = (tensors[leaf].astype(mx.float32) for leaf in leaves)
    dtype = tensors[leaves[1]].dtype
    found = ((codes * steps).astype(dtype).astype(mx.float32) + least).astype(dtype)
    checks.finite({leaves[0]: found}, leaves[0])
    return found.reshape(said)


def _places(found: _Found) -> mx.array:
    """Of tiles of scales [tiles, group]: the place of that of each row, rows being in the order of outputs."""
    groups = found.size[1] // found.group
    row = mx.arange(found.rows)
    output, group = row // groups, row % groups
    return (output // found.group * groups + group) * found.group + output % found.group


def _dtypes(scheme: Scheme, params: mx.Dtype, single: bool = False) -> tuple[mx.Dtype, mx.Dtype, mx.Dtype]:
    """Of the difference, of the products, and of the weight."""
    if not scheme.layout.startswith(UNIFORM):
        return params, params, params
    own = FLOATS[scheme.dtype or "float16"]
    wide = params if params == own else mx.float32
    return own if single else wide, wide, own
