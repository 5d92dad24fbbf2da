"""Where the suite's files are, and how they are read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..bits.array import Array
from ..bits.safetensors_file import read_safetensors

_HERE = Path(__file__).parents[1]
ROOT = _HERE / "_fixtures" if (_HERE / "_fixtures").is_dir() else _HERE.parent / "fixtures"
INSTALLED = ROOT.parent == _HERE

VECTOR_FILES = ("auto-gptq-0.7.1", "autoawq-0.2.9")
# Of a producer that stores zero points in a way of its own: see the written policies.
PRODUCER_FILES = ("gptqmodel-7.7.0",)
CHECKPOINTS = (
    "llama-awq-g128",
    "llama-awq-g32",
    "llama-gptq-g128-act-asym",
    "llama-gptq-g128-seq-asym",
    "llama-gptq-g32-act-sym",
    "llama-gptq-gall-act-asym",
    "qwen2-awq-g128",
    "qwen2-awq-g32",
    "qwen2-gptq-g128-act-sym",
    "qwen2-gptq-g32-act-asym",
    "qwen2-gptq-g32-seq-asym",
    "qwen2-gptq-gall-seq-sym",
)


@dataclass(frozen=True)
class Vector:
    """One upstream-packed module: inputs, and the dense weight each upstream reader made of them."""

    id: str
    producer: str
    config: dict[str, Any]
    flags: frozenset[str]
    comment: str
    tensors: dict[str, Array]
    expected: dict[str, Array]

    def __repr__(self) -> str:
        return f"Vector({self.id})"


@cache
def vectors(files: tuple[str, ...] = VECTOR_FILES) -> tuple[Vector, ...]:
    found = []
    for stem in files:
        index = json.loads((ROOT / "vectors" / f"{stem}.json").read_text())
        tensors = read_safetensors((ROOT / "vectors" / f"{stem}.safetensors").read_bytes())
        for case in index["cases"]:
            prefix = case["id"] + "/"
            own = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
            found.append(
                Vector(
                    id=case["id"],
                    producer=stem,
                    config=case["config"],
                    flags=frozenset(case["flags"]),
                    comment=case["comment"],
                    tensors={name: array for name, array in own.items() if not name.startswith("expected.")},
                    expected={
                        name.removeprefix("expected."): array
                        for name, array in own.items()
                        if name.startswith("expected.")
                    },
                )
            )
    return tuple(found)


@cache
def upstream_digests() -> dict[str, dict[str, dict[str, Any]]]:
    """Checkpoint to module to the shape, dtype and SHA-256 of the dense weight [out, in] as upstream decodes it."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for stem in VECTOR_FILES:
        found |= json.loads((ROOT / "vectors" / f"checkpoint-digests-{stem}.json").read_text())["checkpoints"]
    return found


@dataclass(frozen=True)
class TinyCheckpoint:
    """A real packed model of the fixtures, its tensors as stored."""

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, Array]

    @property
    def quantization_config(self) -> dict[str, Any]:
        return self.config["quantization_config"]

    @property
    def modules(self) -> dict[str, dict[str, Array]]:
        """Packed modules: name to local tensors."""
        names = [name.removesuffix(".qweight") for name in self.tensors if name.endswith(".qweight")]
        return {
            name: {
                leaf.removeprefix(name + "."): array
                for leaf, array in self.tensors.items()
                if leaf.rpartition(".")[0] == name
            }
            for name in sorted(names)
        }


def present_checkpoints() -> tuple[str, ...]:
    return tuple(name for name in CHECKPOINTS if (ROOT / "models" / name).is_dir())


@cache
def checkpoint(name: str) -> TinyCheckpoint:
    folder = ROOT / "models" / name
    tensors: dict[str, Array] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= read_safetensors(file.read_bytes())
    return TinyCheckpoint(folder, json.loads((folder / "config.json").read_text()), tensors)


def recital() -> tuple[str, list[int]]:
    """The text every tiny model knows by heart, and its token ids."""
    models = ROOT / "models"
    return (models / "recital.txt").read_text(), json.loads((models / "recital_ids.json").read_text())
