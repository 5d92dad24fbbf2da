"""The JSON and tokenizer files of a converted checkpoint: a config every loader reads alike, and no stale sidecars."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ..errors import UnsupportedFormat
from ..files import documents
from ..files.folder import Files, read_bytes
from .defaults import fill_in
from .ropes import both_ropes
from .spelling import nested, respelled

# Copied as they are; all else is rewritten, belonged to the packed weights, or is code, which no conversion needs.
_COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tekken.json",
    "*.tiktoken",
    "*.model",
    "*.jinja",
    "chat_template.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "LICENSE*",
    "NOTICE*",
)
_CODE = (".py", ".pyc", ".so", ".dylib", ".dll", ".exe", ".sh", ".pkl", ".pickle")
# How pickles, programs and archives begin.
_EXECUTABLE = (
    *(b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04"),
    *(b"\x7fELF", b"\xcf\xfa\xed\xfe", b"MZ", b"#!"),
)


def config_for(config: Mapping[str, Any], *, dtype: str | None = None) -> dict[str, Any]:
    """``config.json`` of the converted checkpoint: no quantisation, both spellings of dtype and of RoPE, absent keys
    as Hugging Face means them, and those that mlx-lm alone reads.

    Args:
        config: the packed checkpoint's.
        dtype: ``"float16"``, ...; None keeps what the config says.

    Raises MalformedCheckpoint ``config-contradiction`` where two spellings disagree, and as :func:`both_ropes` and
    :func:`respelled`.
    """
    result = copy.deepcopy(dict(config))
    result.pop("auto_map", None)  # names classes in code that is not copied
    result.pop("quantize_activations", None)  # of MLX's packed floats, which no conversion writes
    fill_in(result)
    text = result.get("text_config")
    if text is None:
        result.pop("text_config", None)  # mlx-lm looks into it
    for part in [result, text] if isinstance(text, dict) else [result]:
        part.pop("quantization_config", None)
        both_ropes(part)
        stated = dtype or part.get("dtype") or part.get("torch_dtype")
        if stated and (part is result or "dtype" in part or "torch_dtype" in part):
            # transformers 5 writes `dtype`, everything older reads `torch_dtype`.
            part["torch_dtype"] = part["dtype"] = str(stated).removeprefix("torch.")
        respelled(part)
    nested(result)
    return result


def copied_names(files: Files) -> list[str]:
    """The tokenizer, generation and licence files that go along unchanged."""
    candidates = [
        name for name in files.names if ("/" not in name or name.endswith(".jinja")) and not name.endswith(_CODE)
    ]
    return [name for name in candidates if any(fnmatchcase(name, pattern) for pattern in _COPIED)]


def copy_files(files: Files, destination: Path) -> None:
    """Copy what :func:`copied_names` names; raises as :func:`check_files`."""
    for name, data in _checked(files):
        target = destination / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(data)


def check_files(files: Files) -> None:
    """Look at what :func:`copied_names` names.

    Raises:
        MalformedCheckpoint: ``bad-file`` for JSON that is none, and as :func:`read_bytes`.
        UnsupportedFormat: ``untrusted-code`` for a pickle or a program under the name of a tokenizer.
    """
    for _ in _checked(files):
        pass


def _checked(files: Files) -> Iterator[tuple[str, bytes]]:
    for name in copied_names(files):
        data = read_bytes(files.path(name), name, documents.MAX_BYTES)
        if name.endswith(".json"):
            documents.parse(data, name)
        if data.startswith(_EXECUTABLE):
            raise UnsupportedFormat(
                "untrusted-code", "is a program or a pickle, and is not copied; remove it", where=name
            )
        yield name, data
