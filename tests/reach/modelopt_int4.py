"""Pairs of outputs in a byte, and scales of inputs."""

from __future__ import annotations

from conformance.formats import strategies

from .common import SCALES, TAKEN, Edges

FLAGS = (
    *(f"scales-{kind}" for kind in strategies.SCALE_KINDS),
    *(f"inputs-{dtype}" for dtype in (None, *strategies.SCALE_DTYPES)),
    *TAKEN,
)
EDGES: Edges = {
    **{edge: SCALES[edge] for edge in ("negative scales", "scales of zero")},
    "one group": lambda pack: pack.tensors["weight_scale"].shape[1] == 1,
    "several groups": lambda pack: pack.tensors["weight_scale"].shape[1] > 1,
    "the least code": lambda pack: bool((pack.tensors["weight"].bits & 15 == 8).any()),
    "one pair of outputs": lambda pack: pack.tensors["weight"].shape[0] == 1,
    "scaled inputs that do not fill a word": lambda pack: (
        "pre_quant_scale" in pack.tensors and pack.tensors["weight"].shape[1] % 8 > 0
    ),
}
