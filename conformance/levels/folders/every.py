"""All checkpoint folders, sound and unsound, and the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import Any

from ...cases.case import Case, Listed
from ...cases.question import flags_of
from ...cases.tiers import UNSOUND
from ...cases.verdict import Verdict
from ...corpus.fixtures import CHECKPOINTS, checkpoint, present_checkpoints
from ...formats.folder import Folder, Packed
from ...formats.registry import FORMATS
from .judge import judge
from .shelf import Outline, Shelf
from .sound import sound
from .unsound import unsound

# What a model computes by itself, and a producer saved all the same.
_BUFFERS = (".rotary_emb.inv_freq", ".rotary_emb.original_inv_freq")


def real(name: str) -> Folder:
    """A checkpoint of the fixtures, rewritten file by file."""
    found = checkpoint(name)
    packed = {module: Packed(found.config_of(module), tensors) for module, tensors in found.modules.items()}
    names = [found.stored_names(module) for module in found.modules]
    inside = {full for own in names for leaf, full in own.items() if leaf != "bias"}
    biased = ("q_proj.bias", "k_proj.bias", "v_proj.bias") if found.config["model_type"] == "qwen2" else ("no such",)
    # Some models have a bias everywhere, and say so.
    biased = (".bias",) if found.config.get("use_bias") else biased
    foreign = {f"{module}.bias" for module in packed if not f"{module}.bias".endswith(biased)}
    return Folder(
        f"real-{name}",
        found.format.SLUG,
        json={"config.json": found.config},
        shards={"model.safetensors": found.tensors},
        packed=packed,
        plain={
            key: array
            for key, array in found.tensors.items()
            if key not in inside | foreign and not key.endswith(_BUFFERS)
        },
    )


@cache
def shelves() -> tuple[Shelf, ...]:
    """Those that are no real checkpoints, small ones first."""
    formats = FORMATS.values()
    common = [Shelf(partial(make, format)) for make in (sound, unsound) for format in formats]
    return *common, *(Shelf(format.folders) for format in formats)


def folders(checkpoints: Iterable[str]) -> Iterator[Folder]:
    """All of them, drawn anew; of the real ones those named."""
    for shelf in shelves():
        yield from shelf.make()
    for name in checkpoints:
        yield real(name)


def cases(checkpoints: Iterable[str] | None = None) -> Iterator[Case]:
    """The same, with all real ones if none are named; none is drawn or read before it is looked at."""
    for shelf in shelves():
        for found in shelf.outlines:
            yield Listed(
                found.id,
                found.format,
                "checkpoints",
                "checkpoint",
                judge=partial(_judge, partial(shelf.folder, found.id)),
                flags=partial(getattr, found, "flags"),
                declined=found.code is not None and not found.either,
                tier=UNSOUND if found.code is not None else "",
            )
    for name in present_checkpoints() if checkpoints is None else checkpoints:
        slug, own = CHECKPOINTS[name].SLUG, partial(_judge, partial(real, name))
        yield Listed(f"real-{name}", slug, "checkpoints", "checkpoint", own, partial(_flags, name))


def _judge(folder: Callable[[], Folder]) -> Callable[[Any, Any], Verdict]:
    return partial(judge, folder())


def _flags(name: str) -> frozenset[str]:
    return Outline.of(real(name)).flags | real_flags(name)


@cache
def real_flags(name: str) -> frozenset[str]:
    """What a loader must be able to read for a whole model: all that is particular about any of its modules."""
    found = checkpoint(name)
    own = [flags_of(found.config_of(module), tensors) for module, tensors in found.modules.items()]
    dynamic = {"dynamic"} if found.config["quantization_config"].get("dynamic") else set()
    return frozenset({"real"} | dynamic).union(*own)
