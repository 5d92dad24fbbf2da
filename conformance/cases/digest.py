"""A digest of what a case asks, so that two reports can tell whether they answered the same question.

An id says which case it is, and stays when its contents are mended; the digest is of the contents: configurations,
tensors, files, dtypes and what is due. It is the same in every process and on every machine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..formats.domain import Domain
from .question import Question

# Hexadecimal digits: 48 bits among some thousands of cases.
LENGTH = 12


def digest(judge: Any) -> str:
    """``LENGTH`` hexadecimal digits of a case's ``judge``; TypeError where the contents of something cannot be told."""
    hashed = sha256()
    for part in _parts(judge):
        # The length before each part keeps two neighbours from being taken for one.
        hashed.update(len(part).to_bytes(8, "little") + part)
    return hashed.hexdigest()[:LENGTH]


def _parts(value: Any) -> Iterator[bytes]:
    match value:
        case None | bool() | int() | float() | str() | bytes():
            yield repr(value).encode()
        case np.ndarray() | np.generic():
            yield f"{value.dtype.str} {value.shape}".encode()
            yield np.ascontiguousarray(value).tobytes()
        case Mapping():
            yield f"mapping of {len(value)}".encode()
            for key, own in sorted(value.items(), key=lambda pair: repr(pair[0])):
                yield from _parts((key, own))
        case list() | tuple():
            yield f"sequence of {len(value)}".encode()
            for own in value:
                yield from _parts(own)
        case set() | frozenset():
            yield from _parts(sorted(value, key=repr))
        case partial():
            yield from _parts((value.func, value.args, value.keywords))
        case MethodType():
            yield value.__func__.__qualname__.encode()
            yield from _parts(value.__self__)
        case FunctionType():
            yield value.__qualname__.encode()
            yield from _parts([cell.cell_contents for cell in value.__closure__ or ()])
        case Domain():
            # What it packs, not how.
            dtype = value.sampled[0]
            yield from _parts((value.label, value.config(), value.pack(dtype, np.resize(value.corners(dtype), 32))))
        case ModuleType() | type():
            yield value.__name__.rpartition(".")[2].encode()
        case _ if dataclasses.is_dataclass(value):
            # When a question was made is no part of it.
            yield (Question if isinstance(value, Question) else type(value)).__qualname__.encode()
            for field in dataclasses.fields(value):
                own = getattr(value, field.name)
                # A field that a later suite adds says nothing where it has its default.
                if type(own) is not type(field.default) or own != field.default:
                    yield from _parts((field.name, own))
        case _:
            raise TypeError(f"no digest of {type(value).__qualname__}")
