"""Typed refusals. Every error carries a stable ``code`` that programs may compare; the message is for people."""

from __future__ import annotations

import re

# What a terminal obeys or hides: control characters, bidirectional overrides, and what no encoding can write.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_LONGEST = 2000


def printable(text: object, *, keep: str = "") -> str:
    """``text`` with control characters, but for those in ``keep``, written as escapes, so that no terminal obeys them.

    Names and values come from files, and end in messages, tables and logs.
    """
    return _UNPRINTABLE.sub(lambda found: _escape(found[0], keep), str(text))


def _escape(character: str, keep: str) -> str:
    return character if character in keep else character.encode("unicode_escape").decode("ascii")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} [...] {text[-_LONGEST // 2 :]}"


class QuantError(Exception):
    """Base of everything this package refuses.

    Attributes:
        code: stable slug such as ``"unsupported-bits"``; one of ``CODES`` of the class.
        where: the file, tensor or configuration key at fault, when known.

    Whatever a file put into the message or the place is printable there: no control characters, at most 2,000
    characters.
    """

    CODES: frozenset[str] = frozenset()

    def __init__(self, code: str, message: str, *, where: str | None = None) -> None:
        if code not in self.CODES:
            raise ValueError(f"{type(self).__name__} has no code {code!r}")
        self.code = code
        self.where = None if where is None else printable(_shortened(where))
        self.message = printable(_shortened(message))
        super().__init__(code, self.message)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message} [{self.code}]"

    def at(self, place: str) -> QuantError:
        """The same refusal with ``place`` (a file or module) put in front of where it happened."""
        where = f"{place}: {self.where}" if self.where else place
        return type(self)(self.code, self.message, where=where)


class UnsupportedFormat(QuantError):
    """The file may be sound, but this version does not decode what it holds."""

    CODES = frozenset(
        {
            "not-quantized",
            "mlx-native",
            "unsupported-method",
            "unsupported-layout",
            "candidate-format",
            "unsupported-bits",
            "unsupported-group-size",
            "unsupported-dtype",
            "unsupported-affine",
            "unsupported-architecture",
            "unsafe-weights",
            "untrusted-code",
        }
    )


class MalformedCheckpoint(QuantError):
    """The file contradicts itself or its format: decoding it would give numbers nobody meant."""

    CODES = frozenset(
        {
            "bad-config-value",
            "config-contradiction",
            "missing-tensor",
            "unexpected-tensor",
            "missing-file",
            "bad-file",
            "stale-index",
            "unsafe-path",
            "bad-dtype",
            "bad-shape",
            "group-index-out-of-range",
            "non-finite-scales",
            "unsupported-bias",
            "truncated-file",
            "unreadable-file",
            "too-large",
            "bad-tokenizer",
            "bad-adapters",
        }
    )


class ConversionError(QuantError):
    """A sound checkpoint could not be written or loaded as asked."""

    CODES = frozenset(
        {
            "destination-exists",
            "destination-busy",
            "no-space",
            "write-failed",
            "no-memory",
            "bad-target",
            "overflow",
            "source-changed",
            "hub-error",
            "missing-dependency",
        }
    )


class QuantWarning(UserWarning):
    """A checkpoint was decoded, but something in it deserves a look; the text is in the report as well."""
