"""The grammar of the fuzzer: edits of a checkpoint's files, each a list that JSON can hold."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

Edit = list[Any]

# Edits name these by their place: new ones go to the end.
# What stands where something else was expected.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 64, 1000, 4097, 2**31, 2**63, 10**30, 10**400, -(10**9)),
    *(0.5, -0.0, 1e308, float("inf"), float("nan"), "", "x", "gptq", "awq", "4", "\ud800", "\x1b[2J", "\0", "../x"),
    *("a" * 5000, [], [1], [None], [[]], {}, {"x": 1}, {"": {}}, "(a+)+$", "float16", "torch.float16", "llama", "base"),
    *("compressed-tensors", "fp8", "modelopt", "auto-round", "channel", "tensor", "block", [0, 0], [1, 2, 3]),
)
# Keys that are worth having where they are not.
KEYS = (
    *("model_file", "auto_map", "quantization", "text_config", "rope_parameters", "rope_scaling", "layer_types"),
    *("eos_token_id", "num_experts", "sliding_window", "head_dim", "tie_word_embeddings", "dtype", "bits", "w_bit"),
    *("group_size", "desc_act", "sym", "dynamic", "meta", "quantizer", "format", "checkpoint_format", "version"),
    *("backend", "is_marlin_format", "modules_to_not_convert", "lm_head", "tool_parser_type", "chat_template_type"),
    *("chat_template", "tokenizer_class", "added_tokens_decoder", "model_file_base_name", "quant_method", "x"),
    *("config_groups", "ignore", "targets", "num_bits", "strategy", "symmetric", "actorder", "weight_block_size"),
    *("kv_cache_scheme", "sparsity_config", "transform_config", "packing_format", "extra_config", "activation_scheme"),
)
TEXTS = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"{}",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b'{"a":' * 3000,
    b"[" * 200_000,
    b'{"a":NaN}',
)
DTYPES = ("F16", "BF16", "F32", "F64", "I8", "U8", "I16", "I32", "U32", "I64", "BOOL", "F8_E4M3", "F4", "X", "")


def edits(rng: random.Random, content: dict[str, bytes]) -> list[Edit]:
    """One to three edits."""
    return [edit for _ in range(rng.choice((1, 1, 1, 2, 3))) if (edit := _edit(rng, content))]


def _edit(rng: random.Random, content: dict[str, bytes]) -> Edit:
    documents = [name for name in content if name.endswith(".json")]
    shards = [name for name in content if name.endswith(".safetensors")]
    kind = rng.choice(
        ("value", "value", "value", "add", "drop", "text", "cut", "flip", "header", "header", "sidecar", "name")
    )
    if kind in ("value", "drop", "add"):
        name = rng.choices(documents, [6 if name == "config.json" else 1 for name in documents])[0]
        path = rng.choice(_all_paths(content[name]))
        if kind == "add":
            return ["add", name, path[:-1], rng.choice(KEYS), rng.randrange(len(VALUES))]
        return [kind, name, path, *([rng.randrange(len(VALUES))] if kind == "value" else [])]
    if kind == "text":
        return ["text", rng.choice(documents), rng.randrange(len(TEXTS))]
    if kind == "cut":
        name = rng.choice(list(content))
        return ["cut", name, rng.randrange(len(content[name]) + 1)]
    if kind == "flip":
        name = rng.choice(list(content))
        return ["flip", name, rng.randrange(max(1, len(content[name]))), rng.randrange(256)]
    if kind == "header":
        what = rng.choice(("dtype", "shape", "span", "drop", "copy", "length"))
        return ["header", rng.choice(shards), what, rng.randrange(10**6), rng.randrange(10**6)]
    if kind == "sidecar":
        name = rng.choice(("quantize_config.json", "quant_config.json", "hf_quant_config.json", "added_tokens.json"))
        return ["sidecar", name, rng.choice(KEYS), rng.randrange(len(VALUES))]
    return [
        "name",
        rng.choice(list(content)),
        rng.choice(("gone", "link", "pipe", "folder", "\x1b[31m.py", "x\n.json")),
    ]


@cache
def _all_paths(data: bytes) -> list[list[Any]]:
    return list(_paths(json.loads(data)))


def _paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[list[Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for number, (key, inner) in enumerate(items):
        yield [*before, key]
        if number < 40:
            yield from _paths(inner, (*before, key))


def applied(content: dict[str, bytes], changes: list[Edit]) -> tuple[dict[str, bytes], list[Edit]]:
    """The bent files, and edits of the folder itself that are left to do."""
    files, left = dict(content), []
    for change in changes:
        kind, name, *rest = change
        data = files.get(name, b"")
        if kind in ("value", "add", "drop", "sidecar"):
            files[name] = _bent(data, kind, rest)
        elif kind == "text":
            files[name] = TEXTS[rest[0]]
        elif kind == "cut":
            files[name] = data[: rest[0]]
        elif kind == "flip" and data:
            place = rest[0] % len(data)
            files[name] = data[:place] + bytes([rest[1]]) + data[place + 1 :]
        elif kind == "header":
            files[name] = _header(data, *rest)
        elif kind == "name":
            left.append(change)
    return files, left


def _bent(data: bytes, kind: str, rest: list[Any]) -> bytes:
    if kind == "sidecar":
        return json.dumps({"quant_method": "gptq", rest[0]: VALUES[rest[1]]}).encode()
    try:
        value = json.loads(data)
        at = value
        *way, last = rest[0] if kind != "add" else [*rest[0], rest[1]]
        for key in way:
            at = at[key]
        if kind == "drop":
            del at[last]
        elif kind == "add" and isinstance(at, list):
            at.append(VALUES[rest[2]])
        else:
            at[last] = VALUES[rest[-1]]
        return json.dumps(value).encode()
    except (ValueError, LookupError, TypeError, RecursionError):
        return data  # an earlier edit took that away


def _header(data: bytes, what: str, which: int, how: int) -> bytes:
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        name = sorted(header)[which % len(header)]
        entry = header[name]
        if what == "dtype":
            entry["dtype"] = DTYPES[how % len(DTYPES)]
        elif what == "shape":
            shapes = ([], [0], [2**31, 0], [2**62, 4], [-1], [1] * 40, ["x"], entry.get("shape", [])[::-1], [1.5], None)
            entry["shape"] = shapes[how % len(shapes)]
        elif what == "span":
            spans = ([0, 0], [0, 2**63], [-8, 8], [8, 0], [], entry.get("data_offsets", [0, 1])[::-1], None, [0, 2**70])
            entry["data_offsets"] = spans[how % len(spans)]
        elif what == "drop":
            del header[name]
        elif what == "copy":
            header[("model.layers.9.x.qweight", "", "x" * 5000, "\x1b", "a.b.scales")[how % 5]] = entry
        text = json.dumps(header).encode()
        length = (len(text), 2**63, 0, len(text) + 1, 100_000_001)[how % 5] if what == "length" else len(text)
        return length.to_bytes(8, "little") + text + data[8 + size :]
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        return data


def plant(source: Path, name: str, how: str, outside: Path = Path("/etc/hostname")) -> None:
    """An edit of the folder itself; a link leads to the file ``outside``."""
    file = source / name
    if how.startswith(("\x1b", "x")):
        (source / how).write_text("x")
        return
    if file.is_dir() and not file.is_symlink():  # of an edit before
        file.rmdir()
    file.unlink(missing_ok=True)
    if how == "link":
        file.symlink_to(outside)
    elif how == "pipe":
        os.mkfifo(file)
    elif how == "folder":
        file.mkdir()
