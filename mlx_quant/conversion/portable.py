"""The JSON and tokenizer files that go along with a converted checkpoint, and no stale sidecars."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import UnsupportedFormat
from ..files import documents
from ..files.folder import Files, read_bytes

# Copied as they are, by name, beginning or end; all else is rewritten, belonged to the packed weights, or is code,
# which no conversion needs.
_COPIED = frozenset(
    {
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "tekken.json",
        "chat_template.json",
        "generation_config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "video_preprocessor_config.json",
    }
)
_BEGINNINGS, _ENDS = ("tokenizer.model", "LICENSE", "NOTICE"), (".tiktoken", ".model", ".jinja")
_CODE = (".py", ".pyc", ".so", ".dylib", ".dll", ".exe", ".sh", ".pkl", ".pickle")
# How pickles, programs and archives begin.
_EXECUTABLE = (
    *(b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04"),
    *(b"\x7fELF", b"\xcf\xfa\xed\xfe", b"MZ", b"#!"),
)


def copied_names(files: Files) -> list[str]:
    """The tokenizer, generation and licence files that go along unchanged."""
    candidates = [
        name for name in files.names if ("/" not in name or name.endswith(".jinja")) and not name.endswith(_CODE)
    ]
    return [name for name in candidates if name in _COPIED or name.startswith(_BEGINNINGS) or name.endswith(_ENDS)]


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
