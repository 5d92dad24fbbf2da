"""What SINQ is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..domain import Domain
from ..folder import MODULES
from ..module import Files
from ..parts import Config, Tensors
from .domain import Scales, Zeros
from .packing import LEVELS, METHOD, TAKEN, parts, said

ID, SLUG, TITLE = "sinq", "sinq", "SINQ"
LEAVES = (
    "W_q",
    *(f"meta.{name}{part}" for name in ("scale", "zero") for part in ("", ".x", ".s", ".m")),
    "meta.scale2",
)
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("sinq-0.2.0",),
    checkpoints=("llama-sinq-4bit",),
    heard=("llama-sinq-4bit",),
    digests=("sinq-0.2.0",),
)
COLUMNS = {
    "rows (1D)": ("rows",),
    "tiles (2D)": ("tiles",),
    "scales packed (quantAux)": ("packed-scales",),
    "NF3, NF4": ("nf3", "nf4"),
    "1, 2, 3, 5, 6, 8 bits": ("bits-1", "bits-2", "bits-3", "bits-5", "bits-6", "bits-8"),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"SINQ": ((), ())}


def names(config: Config) -> bool:
    method = config.get("quant_method") or config.get("quantization_method")
    return METHOD in str(method).lower() if method else MODULES in config


def said_width(config: Config) -> Any:
    width = said(config).get("nbits")
    return TAKEN.get(width, width) if isinstance(width, (int, float)) else width


def domains() -> Iterator[Domain]:
    yield Scales(SLUG)
    yield Zeros(f"{SLUG}-8bit-zero-points")


def flags(config: Config, tensors: Tensors) -> set[str]:
    own = said(config)
    if not {"W_q", "meta.scale2"} <= tensors.keys() or "packing" not in own:
        return set()
    found = parts(config, tensors)
    seen = {f"bits-{found.bits}", f"scales-{found.params}", f"is-{found.dtype}"}
    seen.add("tiles" if tensors["meta.scale2"].bits.ndim == 3 else "rows")
    seen |= {kind for kind in LEVELS if kind in str(own["method"]).lower()}
    if "scale.shape" in own:
        seen.add("packed-scales")
    if own.get("view_as_float"):
        seen.add("as-float")
    if (found.c == 1).all():
        seen.add("inputs-of-one")
    zeros = tensors.get("meta.zero")
    if (zeros is not None and zeros.shape == ()) or own.get("zero.shape") == []:
        seen.add("one-zero")
    return seen
