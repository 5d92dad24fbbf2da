"""ParoQuant: AWQ's codes of a matrix whose inputs are scaled, and turned in pairs, while a model runs.

On disk, besides ``qweight``, ``qzeros`` and ``scales`` as AWQ has them: ``channel_scales`` [1, in] times the inputs,
then ``theta`` [k, in / 2], an angle a pair, and ``pairs`` int16 [k, in], two numbers of inputs within their group for
each angle, groups being those of the scales. Of a pair ``i, j`` a rotation makes ``x_i cos + x_j sin`` and ``x_j cos -
x_i sin``. What is decoded is the weight that takes the inputs as they come: rotations are taken back in its rows, the
last one first, then columns are multiplied.

Source: gptqmodel 7.7.0, ``utils/paroquant.py`` and ``quantization/paroquant/optimization.py``
(``_apply_inverse_rotation``, ``_export_runtime_state``); paroquant at commit 9e08d839, ``paroquant/export/math.py``.
"""

from __future__ import annotations

from dataclasses import replace

import mlx.core as mx
import numpy as np

from ..dialects.schemes import Scheme
from ..errors import MalformedCheckpoint
from ..weights.rotated import Rotated, Turns
from . import awq_gemm, checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "paroquant"
TITLE = "ParoQuant"
STATUS: Status = "enabled"
BITS = (4,)
LAYOUTS = ("paroquant",)
MARKS = (".qweight", ".pairs")
TENSORS = (*awq_gemm.TENSORS, ".pairs", ".theta", ".channel_scales")
# A parameter of another model may be called pairs.
TRAITS = Traits(partners={".pairs": ".theta"})

_ANGLES, _PAIRS, _COLUMNS = "theta", "pairs", "channel_scales"
_CODES = tuple(checks.leaf(suffix) for suffix in awq_gemm.TENSORS)


def recognises(infos: Infos) -> bool:
    return _PAIRS in infos


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS)
    checks.present(infos, (*_CODES, _ANGLES, _PAIRS, _COLUMNS), TENSORS)
    found = awq_gemm.measure(_plain(scheme), {name: infos[name] for name in _CODES})
    size = _size(scheme, found.in_features)
    if size % 2:
        raise checks.bad_shape(infos, _PAIRS, f"groups of {size} input channels do not divide into pairs")
    for name in (_ANGLES, _COLUMNS):
        checks.floats(infos, name)
    checks.dtype(infos, _PAIRS, ("I16",))
    rotations, _ = checks.matrix(infos, _ANGLES)
    if scheme.rotations not in (None, rotations):
        raise checks.bad_shape(infos, _ANGLES, f"the configuration says krot {scheme.rotations}, one row each")
    for name, due in (
        (_ANGLES, (rotations, found.in_features // 2)),
        (_PAIRS, (rotations, found.in_features)),
        (_COLUMNS, (1, found.in_features)),
    ):
        if infos[name].shape != due and (name, infos[name].shape) != (_COLUMNS, due[1:]):
            raise checks.bad_shape(infos, name, f"{found.in_features} input channels take {list(due)}")
    return found


def decode(scheme: Scheme, tensors: Tensors) -> Rotated:
    found = measure(scheme, checks.headers(tensors))
    for name in (_COLUMNS, _ANGLES):
        checks.finite(tensors, name)
    return Rotated(
        matrix=awq_gemm.decode(_plain(scheme), {name: tensors[name] for name in _CODES}),
        turns=Turns.of(
            _inputs(np.array(tensors[_PAIRS]), _size(scheme, found.in_features)),
            np.array(tensors[_ANGLES].astype(mx.float32)).astype(np.float64),
        ),
        columns=tensors[_COLUMNS].reshape(-1),
    )


def _inputs(stored: np.ndarray, size: int) -> np.ndarray:
    """Numbers of inputs [k, in / 2, 2]; ``group-index-out-of-range`` unless each input of a group is in one pair."""
    rotations, in_features = stored.shape
    local = stored.reshape(rotations, -1, size).astype(np.int64)
    if not (np.sort(local, axis=2) == np.arange(size)).all():
        outside = int(((local < 0) | (local >= size)).sum())
        raise MalformedCheckpoint(
            "group-index-out-of-range",
            f"{outside} values are no input of a group of {size}"
            if outside
            else f"an input of a group of {size} is in two pairs of a rotation",
            where=_PAIRS,
        )
    return (local + np.arange(0, in_features, size)[:, None]).reshape(rotations, -1, 2)


def _plain(scheme: Scheme) -> Scheme:
    return replace(scheme, layout="gemm")


def _size(scheme: Scheme, in_features: int) -> int:
    return in_features if scheme.group_size == -1 else scheme.group_size


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return list(scheme.notes)


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    shape, dtype = infos[leaf].shape, infos[leaf].mlx_dtype
    if leaf == _PAIRS:
        row = mx.arange(shape[1]) % _size(scheme, shape[1])
        return mx.broadcast_to(row, shape).astype(dtype)
    return mx.ones(shape, dtype) if leaf == _COLUMNS else mx.zeros(shape, dtype)
