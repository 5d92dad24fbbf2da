"""Sizes, and what to type next, as people read them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from ..errors import QuantError
from ..files.folder import Files, read_json

_TEMPLATES = ("chat_template.jinja", "chat_template.json")
_PROMPT = "Once upon a time"


def human(nbytes: int) -> str:
    """``1.2 GB``; powers of ten."""
    value = float(nbytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


def machine_memory() -> int | None:
    """Bytes that this machine has; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def has_chat_template(files: Files) -> bool:
    """Whether a model can be chatted with; a file that cannot be read has no template."""
    if any(name in files.names for name in _TEMPLATES):
        return True
    try:
        return bool((read_json(files, "tokenizer_config.json") or {}).get("chat_template"))
    except QuantError:
        return False


def to_run(source: str, *, chat: bool, packed: bool, options: Sequence[str] = ()) -> str:
    """The command that runs a model.

    Args:
        source: folder or repo id.
        chat: whether it has a chat template.
        packed: whether it needs mlx-quant for that.
        options: of ``mlx-quant run``.
    """
    command = ["mlx_lm.chat" if chat else "mlx_lm.generate", "--model", source]
    command += [] if chat else ["--prompt", _PROMPT]
    return shlex.join([*(["mlx-quant", "run", *options] if packed else []), *command])


def to_run_from(source: str, *, chat: bool, options: Sequence[str]) -> str:
    """The same where options say which revision, or from which cache: no command of mlx-lm has those."""
    return shlex.join(["mlx-quant", "generate", source, "--prompt", _PROMPT, *(["--chat"] if chat else []), *options])


def to_convert(source: str, target: str, options: Sequence[str] = ()) -> str:
    """The command that converts a repo, into a folder named after it."""
    folder = f"{Path(source).resolve().name if os.path.isdir(source) else Path(source).name}-mlx"
    return shlex.join(["mlx-quant", "convert", source, folder, "--target", target, *options])
