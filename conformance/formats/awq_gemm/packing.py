"""AWQ gemm, packed and taken apart in NumPy: both tensors are packed along the outputs.

Each eight fields are interleaved: AutoAWQ's 4 bits, AutoRound's 4 to 7; GPTQModel's other widths are not. Sources:
autoawq 0.2.9, ``awq/utils/packing_utils.py``; auto-round 0.16.1, ``utils/bit_packing.py``; gptqmodel 7.7.0,
``quantization/awq/utils/packing_utils.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import fields, words
from .. import flags as shared
from ..dialects import autoround
from ..divided import Divided
from ..parts import Config, Integer, Tensors
from ..spelt import written

WIDTHS = (4, 2, 3, 5, 6, 7, 8)
# The divisors of a scaled activation, as a tensor of the layer behind it.
DIVISORS = "act.scales"
# That layer: of Starcoder2 and GPT-BigCode, of GPT-J, of GPT-NeoX and Falcon.
BEHIND = ("c_proj", "fc_out", "dense_4h_to_h")
# Of these AutoRound writes the interleaved ones that the suite asks for; all others are GPTQModel's.
AUTOROUND_ALONE = (5, 6)
# Natural column j of each eight is nibble NIBBLE_OF_COLUMN[j] of a word (AWQ_REVERSE_ORDER).
NIBBLE_OF_COLUMN = (0, 4, 1, 5, 2, 6, 3, 7)


def config(bits: int, group_size: int) -> dict[str, Any]:
    """The plainest ``quantization_config``."""
    if bits in AUTOROUND_ALONE:
        own = {"bits": bits, "group_size": group_size, "sym": False, "packing_format": autoround.AWQ}
        return autoround.PLAIN | own
    return {"quant_method": "awq", "bits": bits, "group_size": group_size, "version": "gemm", "zero_point": True}


def width(config: Config) -> int:
    return int(shared.width(config) or 4)


def interleaves(config: Config) -> bool:
    return width(config) == 4 or autoround.reads(config)


def config_of(config: Config, module: str) -> dict[str, Any]:
    """All modules of a checkpoint are alike."""
    return dict(config)


def beside(module: str) -> dict[str, str]:
    """Tensors of a module that are not named after it, local to full name: AutoAWQ's ``modules/act.py``."""
    parent, _, name = module.rpartition(".")
    return {DIVISORS: f"{parent}.{DIVISORS}"} if parent and name in BEHIND else {}


def natural(values: np.ndarray) -> np.ndarray:
    """Fields [rows, columns] in the order of the nibbles, put into the order of the columns."""
    eights = values.reshape(len(values), -1, 8)
    return eights[:, :, list(NIBBLE_OF_COLUMN)].reshape(values.shape)


def interleaved(values: np.ndarray) -> np.ndarray:
    """Inverse of :func:`natural`."""
    eights = values.reshape(len(values), -1, 8)
    return eights[:, :, [NIBBLE_OF_COLUMN.index(nibble) for nibble in range(8)]].reshape(values.shape)


def pack(
    codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4, divisors: Array | None = None
) -> dict[str, Array]:
    """The tensors of codes [out, in], zero points [groups, out] and, where there are, divisors of inputs [in], as
    :func:`config` describes them."""
    order = interleaved if interleaves(config(bits, 32)) else np.asarray
    own = {} if divisors is None else {DIVISORS: divisors}
    return own | {
        "qweight": Array.of(words(order(np.ascontiguousarray(codes.T)), bits)),
        "qzeros": Array.of(words(order(zeros), bits)),
        "scales": scales,
    }


def parts(config: Config, tensors: Tensors) -> Integer | Divided:
    """A sound module taken apart."""
    bits, out = width(config), tensors["scales"].shape[1]
    order = natural if interleaves(config) else np.asarray
    q, z = (order(fields(tensors[name].bits, 1, bits)[:, :out]).astype(np.int64) for name in ("qweight", "qzeros"))
    g = np.arange(len(q)) // group_size(config, len(q))
    matrix = Integer.of(q.T, z, tensors["scales"], g, bits)
    return Divided(matrix, tensors[DIVISORS].float64()) if DIVISORS in tensors else matrix


def group_size(config: Config, in_features: int) -> int:
    found = written(config)
    size: Any = found.get("group_size", found.get("q_group_size", 128))
    return in_features if size == -1 else int(size)
