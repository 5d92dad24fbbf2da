"""Modules of real checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ..bits.array import Array
from ..cases.case import Case
from ..cases.verdict import Verdict
from ..corpus.fixtures import checkpoint, present_checkpoints, upstream_digests
from ..formats.module import Pack
from ..subjects.ask import decode
from ..subjects.subject import Refused
from .by_oracle import by_oracle


def modules() -> Iterator[Case]:
    """Every packed module of the real checkpoints against the oracle."""
    for name in present_checkpoints():
        found = checkpoint(name)
        for module, tensors in found.modules.items():
            pack = Pack(found.config_of(module), tensors, frozenset(), None)
            yield Case(f"{name}-{module}", by_oracle(pack), found.format_of(module).SLUG)


def digests() -> Iterator[Case]:
    """The same against the digests of upstream's own decode."""
    for name in present_checkpoints():
        found = checkpoint(name)
        for module, tensors in found.modules.items():
            judge = partial(_digest, found.config_of(module), tensors, name, module)
            yield Case(f"{name}-{module}", judge, found.format_of(module).SLUG)


def _digest(config: Any, tensors: dict[str, Array], name: str, module: str, subject: Any, _: Any) -> Verdict:
    got = decode(subject, config, tensors)
    if not isinstance(got, Array):
        manner = "refused" if isinstance(got, Refused) else "crashed"
        return Verdict(f"{manner}: {got.error!r}", "refused" if manner == "refused" else "crashed")
    facts = {"shape": list(got.shape), "dtype": got.dtype, "sha256": got.sha256()}
    if facts != upstream_digests()[name][module]:
        return Verdict(f"{facts}, upstream has {upstream_digests()[name][module]}", "bits", weights=got.bits.size)
    return Verdict(weights=got.bits.size)
