"""A checkpoint's tokenizer and adapters, by mlx-lm's own loaders: no code of the repo unless it is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import MalformedCheckpoint, QuantError, UnsupportedFormat
from ..files.folder import Files, read_json

# transformers reads what it finds by these names; a link or a pipe among them is not waited for.
_READ = (".json", ".jinja", ".txt", ".model", ".tiktoken")
# tokenizers keeps a place for each id up to the largest, four bytes or more, and aborts the process where they do not
# fit. Vocabularies have up to about 300,000 words.
MAX_ID = 1 << 24
_ADVICE = "download the tokenizer files of the original model again"


def load_tokenizer(files: Files, options: Mapping[str, Any] | None, eos_token_ids: Any) -> Any:
    """The tokenizer of a checkpoint, from its own folder: tokenizers remember where they came from, some read it again.

    Args:
        files: the checkpoint's.
        options: as ``tokenizer_config`` of ``mlx_lm.load``; ``trust_remote_code`` is False unless it is here.
        eos_token_ids: what ends a text, beside what the tokenizer says.

    Raises:
        UnsupportedFormat: ``untrusted-code``, the tokenizer is a program of the repo.
        MalformedCheckpoint: ``bad-tokenizer`` for what no tokenizer can be made of; as :func:`read_json`.
    """
    from mlx_lm import utils

    settings: dict[str, Any] = {"trust_remote_code": False} | dict(options or {})
    if settings["trust_remote_code"]:
        files.fetch([name for name in files.names if name.endswith(".py")])
    for name in files.names:
        if "/" not in name and name.endswith(_READ):
            files.path(name)
            if name.startswith(("tokenizer", "special_tokens", "added_tokens", "vocab")) and name.endswith(".json"):
                _refuse_vast(read_json(files, name) or {}, name)
    try:
        return utils.load_tokenizer(files.folder, settings, eos_token_ids)
    except (QuantError, MemoryError):
        raise
    except Exception as error:
        if not settings["trust_remote_code"] and "trust_remote_code" in str(error):
            raise UnsupportedFormat(
                "untrusted-code",
                "the tokenizer is a program of the repo, which is not run; read it first, and if you trust it, pass "
                "trust_remote_code (--trust-remote-code)",
                where="tokenizer_config.json: auto_map",
            ) from error
        raise MalformedCheckpoint(
            "bad-tokenizer", f"no tokenizer ({_told(error)}); {_ADVICE}", where=_place(files)
        ) from error


def _refuse_vast(document: Mapping[str, Any], name: str) -> None:
    """MalformedCheckpoint ``bad-tokenizer`` for an id of a token that no vocabulary has."""
    model = document.get("model")
    # tokenizer.json has its words in a model; vocab.json and added_tokens.json are nothing else.
    words = model.get("vocab") if isinstance(model, dict) else document
    added = document.get("added_tokens")
    ids = list(words.values()) if isinstance(words, dict) else []
    ids += [token.get("id") for token in added if isinstance(token, dict)] if isinstance(added, list) else []
    vast = max((id for id in ids if isinstance(id, int)), default=0)
    if vast > MAX_ID:
        raise MalformedCheckpoint("bad-tokenizer", f"a token has the number {vast}; {_ADVICE}", where=name)


def ends_of(files: Files) -> Any:
    """The ``eos_token_id`` of ``generation_config.json``, which wins over that of ``config.json``; None without one."""
    return (read_json(files, "generation_config.json") or {}).get("eos_token_id")


def load_adapters(model: Any, adapter_path: str) -> Any:
    """``model`` with the LoRA adapters in ``adapter_path``; MalformedCheckpoint ``bad-adapters`` for others."""
    from mlx_lm import utils

    try:
        adapted = utils.load_adapters(model, adapter_path)
    except Exception as error:
        text = f"do not load ({_told(error)}); give the folder that mlx-lm's tuner wrote for this model"
        raise MalformedCheckpoint("bad-adapters", text, where=adapter_path) from error
    adapted.eval()
    return adapted


def _told(error: Exception) -> str:
    lines = " ".join(str(error).split())
    return f"{type(error).__name__}: {lines[:500]}" if lines else type(error).__name__


def _place(files: Files) -> str:
    return next((name for name in files.names if name in ("tokenizer.json", "tokenizer_config.json")), files.label)
