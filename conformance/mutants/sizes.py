"""Faults that show only in matrices of real size: indices too narrow, buffers and blocks too short."""

from __future__ import annotations

import numpy as np

from ..formats.parts import Integer
from .model import Bug, Config, Mutant, Tensors, github
from .wrap import spoilt

_EVERY_WIDTH = (2, 3, 4, 8)
_ROOM = 4096


def _group_in_eight_bits(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(g=found.g & 0xFF)


def _offset_in_twenty_bits(found: Integer, config: Config, tensors: Tensors) -> Integer:
    flat = found.q.ravel()
    return found.with_(q=flat[np.arange(flat.size) & 0xFFFFF].reshape(found.q.shape))


def _inputs_from_the_start_again(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(q=found.q[:, np.arange(found.q.shape[1]) % _ROOM])


def _last_block_of_outputs_left_out(found: Integer, config: Config, tensors: Tensors) -> Integer:
    whole = found.q.shape[0] // _ROOM * _ROOM
    if not whole:
        return found
    q = found.q.copy()
    q[whole:] = 0
    return found.with_(q=q)


def _group_size_in_eight_bits(found: Integer, config: Config, tensors: Tensors) -> Integer:
    size = config.get("group_size", -1)
    if size < 256 or not (np.diff(found.g) >= 0).all():
        return found
    kept = size & 0xFF or found.q.shape[1]
    return found.with_(g=np.minimum(np.arange(found.q.shape[1]) // kept, len(found.s) - 1))


SIZES = (
    Mutant(
        "SZ-01",
        Bug.GROUP_INDEX,
        "an index is kept in too few bits: there an offset in 32, here the number of a group in 8",
        github("ml-explore/mlx#2143", "unslothai/unsloth#6884"),
        ("sizes",),
        bits=_EVERY_WIDTH,
        decode=spoilt(_group_in_eight_bits),
    ),
    Mutant(
        "SZ-02",
        Bug.SHAPE_PADDING,
        "the place of a weight is counted in too few bits: there in 31, here in 20, after which it starts again",
        github("bitsandbytes-foundation/bitsandbytes#1784", "ml-explore/mlx#1051"),
        ("sizes",),
        bits=_EVERY_WIDTH,
        decode=spoilt(_offset_in_twenty_bits),
    ),
    Mutant(
        "SZ-03",
        Bug.SHAPE_PADDING,
        "outputs that do not fill the last block are not computed: there blocks of 32, here of 4096",
        github("ml-explore/mlx#665"),
        ("sizes",),
        bits=_EVERY_WIDTH,
        decode=spoilt(_last_block_of_outputs_left_out),
    ),
    Mutant(
        "SZ-04",
        Bug.SHAPE_PADDING,
        "a buffer is too small for the model: there it is noticed, here inputs from 4096 on are read from its start",
        github("AutoGPTQ/AutoGPTQ#253", "AutoGPTQ/AutoGPTQ#504"),
        ("sizes",),
        bits=_EVERY_WIDTH,
        decode=spoilt(_inputs_from_the_start_again),
    ),
    Mutant(
        "SZ-05",
        Bug.GROUP_INDEX,
        "large groups are handled as small ones: there from 1024 on, here a group size is kept in 8 bits",
        github("bitsandbytes-foundation/bitsandbytes#565"),
        ("sizes",),
        bits=_EVERY_WIDTH,
        decode=spoilt(_group_size_in_eight_bits),
    ),
)
