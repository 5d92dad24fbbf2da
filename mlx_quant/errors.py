"""Typed refusals. Every error carries a stable ``code`` that programs may compare; the message is for people."""

from __future__ import annotations


class QuantError(Exception):
    """Base of everything this package refuses.

    Attributes:
        code: stable slug such as ``"unsupported-bits"``; one of ``CODES`` of the class.
        where: the file, tensor or configuration key at fault, when known.
    """

    CODES: frozenset[str] = frozenset()

    def __init__(self, code: str, message: str, *, where: str | None = None) -> None:
        if code not in self.CODES:
            raise ValueError(f"{type(self).__name__} has no code {code!r}")
        self.code = code
        self.where = where
        self.message = message
        super().__init__(code, message)

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
        }
    )


class ConversionError(QuantError):
    """A sound checkpoint could not be written or loaded as asked."""

    CODES = frozenset(
        {
            "destination-exists",
            "destination-busy",
            "no-space",
            "bad-target",
            "overflow",
            "source-changed",
            "hub-error",
            "missing-dependency",
        }
    )


class QuantWarning(UserWarning):
    """A checkpoint was decoded, but something in it deserves a look; the text is in the report as well."""
