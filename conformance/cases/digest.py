"""A digest of what a case asks, so that two reports can tell whether they answered the same question.

An id says which case it is, and stays when its contents are mended; the digest is of the contents: configurations,
tensors, files, dtypes and what is due. It is the same in every process and on every machine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
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

    def add(part: bytes) -> None:
        # The length before each part keeps two neighbours from being taken for one.
        hashed.update(len(part).to_bytes(8, "little"))
        hashed.update(part)

    _parts(judge, add)
    return hashed.hexdigest()[:LENGTH]


def _parts(value: Any, add: Callable[[bytes], None]) -> None:
    """Give ``add`` each part of a value; no generator, for there are millions of parts, and deep ones."""
    match value:
        case None | bool() | int() | float() | str() | bytes():
            add(repr(value).encode())
        case np.ndarray() | np.generic():
            add(f"{value.dtype.str} {value.shape}".encode())
            add(np.ascontiguousarray(value).tobytes())
        case Mapping():
            add(f"mapping of {len(value)}".encode())
            for key, own in sorted(value.items(), key=lambda pair: repr(pair[0])):
                _parts((key, own), add)
        case list() | tuple():
            add(f"sequence of {len(value)}".encode())
            for own in value:
                _parts(own, add)
        case set() | frozenset():
            _parts(sorted(value, key=repr), add)
        case partial():
            _parts((value.func, value.args, value.keywords), add)
        case MethodType():
            add(value.__func__.__qualname__.encode())
            _parts(value.__self__, add)
        case FunctionType():
            add(value.__qualname__.encode())
            _parts([cell.cell_contents for cell in value.__closure__ or ()], add)
        case ModuleType() | type():
            add(value.__name__.rpartition(".")[2].encode())
        case _ if _is_domain(value):
            # What it packs, not how.
            dtype = value.sampled[0]
            packed = value.pack(dtype, np.resize(value.corners(dtype), 32))
            _parts((value.label, value.config(), packed), add)
        case _ if dataclasses.is_dataclass(value):
            # When a question was made is no part of it.
            add((Question if isinstance(value, Question) else type(value)).__qualname__.encode())
            for field in dataclasses.fields(value):
                own = getattr(value, field.name)
                # A field that a later suite adds says nothing where it has its default.
                if type(own) is not type(field.default) or own != field.default:
                    _parts((field.name, own), add)
        case _:
            raise TypeError(f"no digest of {type(value).__qualname__}")


# Whether the instances of a class are domains: asking that of a protocol looks up each of its members.
_DOMAINS: dict[type, bool] = {}


def _is_domain(value: Any) -> bool:
    kind = type(value)
    if kind not in _DOMAINS:
        _DOMAINS[kind] = isinstance(value, Domain)
    return _DOMAINS[kind]
