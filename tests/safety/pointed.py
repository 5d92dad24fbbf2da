"""Checkpoints bent on purpose, one for each way in that is known: what chance would hardly find.

Each changes a sound folder, and may use another folder that nobody has a reason to open.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file

CANARY = "canary"
_TOKENIZER, _CONFIG, _FIRST = "tokenizer_config.json", "config.json", "model-00001-of-00002.safetensors"
_INDEX = "model.safetensors.index.json"


class Pointed(NamedTuple):
    """One such input.

    Attributes:
        about: what a loader must read to be asked: ``"config"``, ``"tokenizer"``, ``"weights"`` or ``"tensors"``,
            the last for one that knows which there must be.
        apply: changes the folder (first), with the help of the other one.
        told: what it is, in the table.
        is_damaged: whether loading it is wrong.
    """

    about: str
    apply: Callable[[Path, Path], None]
    told: str
    is_damaged: bool = False


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def _set(source: Path, name: str, **keys: Any) -> None:
    value = json.loads((source / name).read_text())
    (source / name).write_text(json.dumps(value | keys))


def _code(source: Path, outside: Path, name: str) -> str:
    """A module that leaves a trace when it is imported, and then works. One name each: Python imports a name once."""
    (source / f"{name}.py").write_text(
        f"open({str(outside.parent / CANARY)!r}, 'a').write(__name__)\n"
        "from transformers import LlamaConfig, PreTrainedTokenizerFast\n"
        "class Evil(PreTrainedTokenizerFast): pass\n"
        "class EvilConfig(LlamaConfig): pass\n"
    )
    return name


def _tokenizer_of_code(source: Path, outside: Path) -> None:
    name = _code(source, outside, "evil_tokenizer")
    _set(source, _TOKENIZER, tokenizer_class="Evil", auto_map={"AutoTokenizer": [None, f"{name}.Evil"]})


def _config_of_code(source: Path, outside: Path) -> None:
    _set(source, _CONFIG, auto_map={"AutoConfig": f"{_code(source, outside, 'evil_config')}.EvilConfig"})


def _type_of_code(source: Path, outside: Path) -> None:
    name = _code(source, outside, "evil_type")
    _set(source, _CONFIG, model_type="evil", auto_map={"AutoConfig": f"{name}.EvilConfig"})


def _model_of_code(source: Path, outside: Path) -> None:
    _set(source, _CONFIG, model_file=f"{_code(source, outside, 'evil_model')}.py")


def _pickles(source: Path, outside: Path) -> None:
    for name in ("pytorch_model.bin", "tokenizer.pkl", "model.pt"):
        (source / name).write_bytes(pickle.dumps(_Bomb(outside.parent / CANARY)))


def _only_pickles(source: Path, outside: Path) -> None:
    for file in [*source.glob("*.safetensors"), source / _INDEX]:
        file.unlink()
    _pickles(source, outside)


def _link(name: str) -> Callable[[Path, Path], None]:
    def apply(source: Path, outside: Path) -> None:
        (source / name).rename(outside / name)
        (source / name).symlink_to(outside / name)

    return apply


def _pipe(name: str) -> Callable[[Path, Path], None]:
    def apply(source: Path, outside: Path) -> None:
        (source / name).unlink()
        os.mkfifo(source / name)

    return apply


def _index_out(source: Path, outside: Path) -> None:
    (source / _FIRST).rename(outside / _FIRST)
    index = json.loads((source / _INDEX).read_text())
    names = {key: f"../outside/{file}" if file == _FIRST else file for key, file in index["weight_map"].items()}
    _set(source, _INDEX, weight_map=names)


def _layers(source: Path, outside: Path) -> None:
    _set(source, _CONFIG, num_hidden_layers=100_000)


def _deep(source: Path, outside: Path) -> None:
    (source / _CONFIG).write_text('{"a":' * 200_000 + "1" + "}" * 200_000)


def _header(claim: bytes, rest: bytes = b"") -> Callable[[Path, Path], None]:
    def apply(source: Path, outside: Path) -> None:
        (source / _FIRST).write_bytes(claim + rest)

    return apply


def _claims(source: Path, outside: Path) -> None:
    """A tensor of 2^40 bytes in a file of 100."""
    entry = {"dtype": "U8", "shape": [2**20, 2**20], "data_offsets": [0, 2**40]}
    text = json.dumps({"model.layers.0.self_attn.q_proj.weight": entry}).encode()
    (source / _FIRST).write_bytes(len(text).to_bytes(8, "little") + text)


def _rewritten(change: Callable[[dict[str, Any]], None]) -> Callable[[Path, Path], None]:
    """A sound file of other tensors, and the index that belongs to it."""

    def apply(source: Path, outside: Path) -> None:
        tensors = load_file(source / _FIRST)
        change(tensors)
        save_file(tensors, source / _FIRST)
        index = json.loads((source / _INDEX).read_text())
        kept = {key: file for key, file in index["weight_map"].items() if file != _FIRST or key in tensors}
        _set(source, _INDEX, weight_map=kept)

    return apply


def _without(leaf: str) -> Callable[[dict[str, Any]], None]:
    def change(tensors: dict[str, Any]) -> None:
        del tensors[next(name for name in sorted(tensors) if name.endswith(leaf))]

    return change


def _nan(tensors: dict[str, Any]) -> None:
    name = next(name for name in sorted(tensors) if tensors[name].dtype == np.float16)
    tensors[name] = tensors[name].copy()
    tensors[name].flat[7] = np.nan


# Those whose code may run come last: transformers remembers for the whole process what was trusted once.
POINTED: dict[str, Pointed] = {
    "pickles": Pointed("config", _pickles, "pickles beside the weights"),
    "only-pickles": Pointed("tensors", _only_pickles, "pickles in place of the weights"),
    "link-tokenizer": Pointed(
        "tokenizer", _link("tokenizer.json"), "`tokenizer.json` is a link that leaves the folder"
    ),
    "link-weights": Pointed("weights", _link(_FIRST), "a shard is a link that leaves the folder"),
    "index-outside": Pointed("tensors", _index_out, "the index names a shard outside the folder"),
    "pipe-config": Pointed("config", _pipe(_CONFIG), "`config.json` is a pipe"),
    "pipe-tokenizer": Pointed("tokenizer", _pipe("tokenizer.json"), "`tokenizer.json` is a pipe"),
    "pipe-weights": Pointed("weights", _pipe(_FIRST), "a shard is a pipe"),
    "layers": Pointed("tensors", _layers, "100,000 layers are claimed, one is there"),
    "deep": Pointed("config", _deep, "`config.json` is nested 200,000 deep"),
    "long-header": Pointed("weights", _header((2**40).to_bytes(8, "little")), "a header of 2^40 bytes", True),
    "claims": Pointed("weights", _claims, "a tensor of 2^40 bytes in a file of 100", True),
    "tensor-gone": Pointed("tensors", _rewritten(_without("weight")), "a matrix is in no file and no index", True),
    "zeros-gone": Pointed("zeros", _rewritten(_without("qzeros")), "`zero_point: true`, and a `qzeros` is gone", True),
    "nan": Pointed("tensors", _rewritten(_nan), "one float of a layer is NaN"),
    "model-of-code": Pointed("config", _model_of_code, "`model_file` names a program of the repo"),
    "config-of-code": Pointed("config", _config_of_code, "`auto_map` names a config class of the repo"),
    "type-of-code": Pointed("config", _type_of_code, "the same, with a `model_type` that nobody has"),
    "tokenizer-of-code": Pointed("tokenizer", _tokenizer_of_code, "`auto_map` names a tokenizer class of the repo"),
}
