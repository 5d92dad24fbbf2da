"""Checkpoints for the loader tests: copies of the real ones, bent in one respect at a time."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safetensors import safe_open

from tests.checkpoint.hub_server import Hub

if TYPE_CHECKING:
    import torch

# A shell starts its background jobs with SIGINT ignored, and whatever they start inherits that: the tests of
# interruptions would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
# Where checkpoints and the text that their models recite lie, below fixtures/.
PLACES = ("base", "gptq/models", "awq_gemm/models", "mxfp4/models", "nvfp4/models")

NO_TORCH = ROOT / "tests/no_torch/sitecustomize.py"

Tensors = dict[str, "torch.Tensor"]


def environment(*first: Path, **more: str) -> dict[str, str]:
    """Of a process of this code without torch; ``first`` are folders that were ``customised``."""
    path = os.pathsep.join(map(str, [*first, NO_TORCH.parent, ROOT]))
    return os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"} | more


def customised(folder: Path, *lines: str) -> Path:
    """The folder, with what such a process does first."""
    (folder / "sitecustomize.py").write_text("\n".join([NO_TORCH.read_text(), *lines]))
    return folder


def slowed(folder: Path, seconds: float) -> Path:
    """The same for a conversion that waits after whatever it has written, so that it is always found at work."""
    return customised(
        folder,
        "import time",
        "from mlx_quant.conversion import output",
        "add = output.ShardWriter.add",
        "def slow(self, tensors):",
        "    add(self, tensors)",
        f"    time.sleep({seconds})",
        "output.ShardWriter.add = slow",
    )


def stored(name: str) -> Path:
    """A real checkpoint, or a text about one, by its name."""
    found = [path for place in PLACES if (path := ROOT / "fixtures" / place / name).exists()]
    assert len(found) == 1, f"{name} is in {len(found)} of {PLACES}"
    return found[0]


class Folder:
    """A checkpoint folder under test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def weights(self) -> Path:
        return next(iter(sorted(self.path.glob("*.safetensors"))))

    def tensors(self) -> Tensors:
        found: Tensors = {}
        for file in sorted(self.path.glob("*.safetensors")):
            with safe_open(file, framework="pt") as shard:
                found |= {name: shard.get_tensor(name) for name in shard.keys()}
        return found

    def json(self, name: str = "config.json") -> dict[str, Any]:
        return json.loads((self.path / name).read_text())

    def write_json(self, value: Any, name: str = "config.json") -> None:
        (self.path / name).write_text(json.dumps(value))

    def configure(self, **changes: Any) -> None:
        """Change keys of ``config.json``; a key set to None is removed."""
        merged = self.json() | changes
        self.write_json({key: value for key, value in merged.items() if value is not None})

    def requantize_config(self, **changes: Any) -> None:
        """Change keys of ``quantization_config`` and drop the sidecar that repeats it."""
        merged = self.json()["quantization_config"] | changes
        self.configure(quantization_config={key: value for key, value in merged.items() if value is not None})
        (self.path / "quantize_config.json").unlink(missing_ok=True)

    def save(self, tensors: Tensors, name: str) -> None:
        from safetensors.torch import save_file

        save_file(tensors, self.path / name, metadata={"format": "pt"})

    def rewrite(self, change: Callable[[Tensors], Any]) -> None:
        """Change the tensors in place; the single weights file keeps its name."""
        file, tensors = self.weights, self.tensors()
        change(tensors)
        self.save({name: tensor.contiguous() for name, tensor in tensors.items()}, file.name)

    def shard(self, place: Callable[[str], str]) -> None:
        """Split the weights into the files that ``place`` names, with an index."""
        tensors = self.tensors()
        self.weights.unlink()
        weight_map = {name: place(name) for name in tensors}
        for file in set(weight_map.values()):
            self.save({name: tensor for name, tensor in tensors.items() if weight_map[name] == file}, file)
        self.write_json({"metadata": {}, "weight_map": weight_map}, "model.safetensors.index.json")


@pytest.fixture
def copy(tmp_path: Path) -> Callable[..., Folder]:
    """``copy(name)``: a writable copy of a real checkpoint."""

    def make(name: str, to: str = "source") -> Folder:
        shutil.copytree(stored(name), tmp_path / to)
        return Folder(tmp_path / to)

    return make


def packed_checkpoints() -> list[str]:
    """Of the families whose layers have seven modules."""
    found = {path.name for place in PLACES for path in (ROOT / "fixtures" / place).iterdir()}
    families = ("llama-", "qwen2-")
    return sorted(name for name in found if name.startswith(families) and ("-gptq-" in name or "-awq-" in name))


def pytest_collection_finish() -> None:
    """The cases of the suite stay to the end: they need not be looked through at every collection of garbage."""
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "packed_name" in metafunc.fixturenames:
        metafunc.parametrize("packed_name", packed_checkpoints())


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub that huggingface_hub, imported long ago, takes for the real one; the cache is empty."""
    from huggingface_hub import constants

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with Hub() as served:
        template = served.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", served.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        yield served
