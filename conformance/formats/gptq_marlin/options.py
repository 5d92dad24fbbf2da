"""What Marlin's tiles are called, what lies in their fixtures, and what can be seen of one of their modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import flags as shared
from ..dialects import autoround
from ..dialects import awq as dialect
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from ..spelt import written
from ..symmetric import SymmetricDomain
from .packing import WIDTHS, ZERO, config, names_of, pack

ID, SLUG, TITLE = "gptq_marlin", "gptq_marlin", "Marlin"
LEAVES = ("B", "s", "qweight", "scales")
MARKS = ("B", "qweight")
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("auto-gptq-0.7.1", "autoawq-0.2.9"),
    checkpoints=("llama-awq-marlin-g128",),
    heard=("llama-awq-marlin-g128",),
    digests=("autoawq-0.2.9",),
)
COLUMNS = {
    "AutoGPTQ": ("gptq-marlin",),
    "AutoAWQ": ("awq-marlin",),
    "group size -1": ("group-size--1",),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"Marlin": (("gptq_marlin",), ())}
LABEL = "marlin"


def names(config: Config) -> bool:
    if autoround.reads(config):
        return False
    if dialect.reads(config):
        return dialect.label(config) == LABEL
    found = written(config)
    method = found.get("quant_method") or found.get("method")
    said = found.get("is_marlin_format") or str(found.get("checkpoint_format") or found.get("format")).lower() == LABEL
    return bool(said) and (method is None or str(method).lower() == "gptq")


def said_width(config: Config) -> Any:
    return shared.width(config)


def domains() -> Iterator[Domain]:
    yield SymmetricDomain(SLUG, WIDTHS[0], ZERO, config, pack, "s", rows=64)


def flags(config: Config, tensors: Tensors) -> set[str]:
    codes, scales = names_of(config)
    found = shared.common(config, {"scales": tensors[scales]}) | {"symmetric", "bits-4"}
    found.add("awq-marlin" if codes == "qweight" else "gptq-marlin")
    if codes in tensors and 16 * len(tensors[codes].bits) % 32:
        found.add("ragged")
    return found
