"""VPTQ: vectors of outputs are entries of codebooks, plus residuals, in an order of inputs, times a scale an input.

On disk: ``indices`` int32 [codebooks, ceil(out / vector), words], a stream of bits for each row, lowest first: for each
input of the codebook a code, then that of its residual. ``centroids.weight`` [codebooks, entries * vector],
``res_centroids.weight`` the same of residuals. The first inputs may be outliers: ``outlier_indices`` int16, read as
unsigned, [1, ceil(out / their vector), outliers], and ``outlier_centroids.weight`` [1, entries * their vector].
``perm`` int16 [in], read as unsigned, is the input of each column; ``weight_scale`` and ``weight_bias`` are [in].

    W = RN(RN(RN(e + r) * s) + b) in the dtype of the codebooks

Source: vptq 0.0.5.post1, ``ops/quant_gemm.py`` (``dequant``), ``utils/pack.py`` and ``layers/vqlinear.py``.
"""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from ..dialects.schemes import Scheme
from ..dialects.vptq import MAIN, OUTLIERS
from ..errors import MalformedCheckpoint
from ..weights.vectors import Vectors
from . import checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "vptq"
TITLE = "VPTQ"
STATUS: Status = "enabled"
BITS = tuple(range(1, 17))
LAYOUTS = ("vectors",)
MARKS = (".indices", ".centroids.weight")
TENSORS = (
    *MARKS,
    ".res_centroids.weight",
    ".outlier_indices",
    ".outlier_centroids.weight",
    ".perm",
    ".weight_scale",
    ".weight_bias",
)
# Other models have buffers called indices.
TRAITS = Traits(partners={".indices": ".centroids.weight"})

_WORDS, _TABLES, _MORE, _APART, _FEW, _ORDER, _SCALES, _BIASES = (checks.leaf(suffix) for suffix in TENSORS)
_HALVES = ("I16", "U16")
_MOST = 1 << 16


def recognises(infos: Infos) -> bool:
    return _WORDS in infos and _TABLES in infos


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "num_centroids")
    (vector, entries, residuals), (tall, few, outliers) = _sizes(scheme)
    due = [_WORDS, _TABLES]
    due += [_MORE] if residuals else []
    due += [_APART, _FEW] if outliers else []
    due += [_ORDER] if scheme.desc_act else []
    due += [] if scheme.sym else [_SCALES, _BIASES]
    checks.present(infos, due, TENSORS)
    if said := next((name for name in infos if name not in (*due, checks.BIAS)), None):
        raise MalformedCheckpoint(
            "unexpected-tensor", "the configuration says that this module has no such tensor", where=said
        )
    checks.floats(infos, _TABLES)
    for name in (_MORE, _FEW, _SCALES, _BIASES):
        if name in due:
            checks.dtype(infos, name, (infos[_TABLES].dtype,))
    books = scheme.codebooks or 1
    _shaped(infos, _TABLES, (books, entries * vector))
    if residuals:
        _shaped(infos, _MORE, (books, residuals * vector))
    checks.dtype(infos, _WORDS, checks.WORDS)
    shape = infos[_WORDS].shape
    if len(shape) != 3 or 0 in shape or shape[0] != books:
        raise checks.bad_shape(infos, _WORDS, f"expected {books} codebooks, rows of vectors, and words")
    inputs, group = _inputs(scheme, infos, outliers)
    bits = scheme.bits + (residuals.bit_length() - 1 if residuals else 0)
    if shape[2] != -(-group * bits // 32):
        raise checks.bad_shape(infos, _WORDS, f"{group} inputs of {bits} bits take {-(-group * bits // 32)} words")
    out = scheme.shape[0] or shape[1] * vector
    if shape[1] != -(-out // vector):
        raise checks.bad_shape(infos, _WORDS, f"{out} outputs in vectors of {vector} make {-(-out // vector)} rows")
    if outliers:
        checks.dtype(infos, _APART, _HALVES)
        _shaped(infos, _FEW, (1, few * tall))
        _shaped(infos, _APART, (1, -(-out // tall), outliers))
    if scheme.desc_act:
        checks.dtype(infos, _ORDER, _HALVES)
        _shaped(infos, _ORDER, (inputs,))
        if inputs > _MOST:
            raise checks.bad_shape(infos, _ORDER, f"16 bits number no more than {_MOST} inputs")
    if not scheme.sym:
        _shaped(infos, _SCALES, (inputs,))
        _shaped(infos, _BIASES, (inputs,))
    return Measured(out, inputs, infos[_TABLES].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Vectors:
    infos = checks.headers(tensors)
    found = measure(scheme, infos)
    (vector, entries, residuals), (tall, few, outliers) = _sizes(scheme)
    for name in (_TABLES, _MORE, _FEW, _SCALES, _BIASES):
        if name in tensors:
            checks.finite(tensors, name)
    books = scheme.codebooks or 1
    apart = None
    if outliers:
        codes = tensors[_APART].view(mx.uint16)[0]
        if (most := int(np.array(codes).max())) >= few:
            raise MalformedCheckpoint(
                "group-index-out-of-range", f"a code is {most}, but there are {few} entries", where=_APART
            )
        apart = codes, tensors[_FEW].reshape(few, tall)
    return Vectors(
        words=tensors[_WORDS].view(mx.uint32),
        tables=tensors[_TABLES].reshape(books, entries, vector),
        residuals=tensors[_MORE].reshape(books, residuals, vector) if residuals else None,
        group=_inputs(scheme, infos, outliers)[1],
        out_features=found.out_features,
        outliers=apart,
        order=_turned(tensors[_ORDER]) if scheme.desc_act else None,
        scales=tensors.get(_SCALES),
        biases=tensors.get(_BIASES),
    )


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return list(scheme.notes)


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    info = infos[leaf]
    if leaf == _ORDER:
        return mx.arange(info.shape[0]).astype(info.mlx_dtype)
    return mx.zeros(info.shape, info.mlx_dtype)


def _sizes(scheme: Scheme) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    found = dict(scheme.shapes)
    (vector, entries, residuals), (tall, few, outliers) = found[MAIN], found[OUTLIERS]
    return (vector, entries, residuals), (tall, few, outliers)


def _inputs(scheme: Scheme, infos: Infos, outliers: int) -> tuple[int, int]:
    """Inputs of the module and of each codebook; what the configuration does not say, tensors of inputs do."""
    books, group = scheme.codebooks or 1, scheme.group_size
    inputs = scheme.shape[1]
    if inputs is None and group > 0:
        inputs = outliers + books * group
    if inputs is None:
        told = next((infos[name] for name in (_SCALES, _ORDER) if name in infos and infos[name].shape), None)
        if told is None:
            raise MalformedCheckpoint(
                "bad-config-value", "nothing says how many inputs a module has", where="group_size"
            )
        inputs = told.shape[0]
    rest = inputs - outliers
    if rest < books or rest % books or (group > 0 and group * books != rest):
        text = f"{inputs} inputs, {outliers} of them outliers, are not {books} groups of {group}"
        raise checks.bad_shape(infos, _WORDS, text)
    return inputs, rest // books


def _shaped(infos: Infos, name: str, due: tuple[int, ...]) -> None:
    if infos[name].shape != due:
        raise checks.bad_shape(infos, name, f"the configuration says {list(due)}")


def _turned(perm: mx.array) -> mx.array:
    """The column of each input, by the input of each column; MalformedCheckpoint ``group-index-out-of-range``."""
    given = np.array(perm.view(mx.uint16)).astype(np.int64)
    found = np.argsort(given, kind="stable")
    if not np.array_equal(given[found], np.arange(len(given))):
        raise MalformedCheckpoint("group-index-out-of-range", "it does not hold each input once", where=_ORDER)
    return mx.array(found.astype(np.int32))
