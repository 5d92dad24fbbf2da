"""What HQQ is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import flags as shared
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from .domain import Scales, Zeros
from .packing import METHOD, TAKEN, params, parts

ID, SLUG, TITLE = "hqq", "hqq", "HQQ"
LEAVES = (
    *("W_q", "scale", "zero", "shape", "nbits", "group_size", "axis", "packing", "compute_dtype", "view_as_float"),
    *("unpack_view_dtype", "quant_zero", "quant_scale", "channel_wise", "optimize", "round_zero", "offload_meta"),
    *("encoded_state_dict", "stores_quant_config"),
)
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("hqq-0.2.8.post1",),
    checkpoints=("qwen2-hqq-4bit-3bit-axis-0",),
    heard=("qwen2-hqq-4bit-3bit-axis-0",),
    digests=("hqq-0.2.8.post1",),
)
COLUMNS = {
    "axis 1": ("axis-1",),
    "axis 0": ("axis-0",),
    "1, 2, 3, 8 bits": ("bits-1", "bits-2", "bits-3", "bits-8"),
    "codes stored as floats": ("as-float",),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"HQQ": ((), ())}


def names(config: Config) -> bool:
    return str(config.get("quant_method") or config.get("method")).lower() == METHOD


def said_width(config: Config) -> Any:
    said = params(config).get("nbits")
    return TAKEN.get(said, said) if isinstance(said, (int, float)) else said


def domains() -> Iterator[Domain]:
    yield Scales(SLUG)
    yield Zeros(f"{SLUG}-8bit-zero-points")


def flags(config: Config, tensors: Tensors) -> set[str]:
    if not {"W_q", "scale"} <= tensors.keys():
        return set()
    found = parts(config, tensors)
    axis, group = (int(tensors[name].bits.item()) for name in ("axis", "group_size"))
    seen = {f"bits-{found.bits}", f"axis-{axis}", f"scales-{found.dtype}"}
    if tensors["W_q"].dtype == found.dtype:
        seen.add("as-float")
    if axis and found.size is None:
        seen.add("groups-across-rows")
    if axis == 0 and found.q.size // group % found.shape[1]:
        seen.add("groups-across-rows")
    if found.size is None or not shared.affine(found.shape[1], found.size):
        seen.add("ragged")
    return seen
