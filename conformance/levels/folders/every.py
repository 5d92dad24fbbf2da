"""All checkpoint folders, sound and unsound, and the real ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from ...cases.case import Case
from ...corpus.fixtures import checkpoint, present_checkpoints
from ...formats.folder import Folder, Packed
from ...formats.registry import FORMATS
from .judge import judge
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


def folders(checkpoints: Iterable[str]) -> Iterator[Folder]:
    """All of them, small ones first; of the real ones those named."""
    yield from sound()
    yield from unsound()
    for format in FORMATS.values():
        yield from format.folders()
    for name in checkpoints:
        yield real(name)


def cases() -> Iterator[Case]:
    for folder in folders(present_checkpoints()):
        yield Case(folder.id, partial(judge, folder), format=folder.format)
