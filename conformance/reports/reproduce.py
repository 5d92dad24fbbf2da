"""How to see a wrong weight again, and where each number that makes it lies in the file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import islice

import numpy as np

from ..bits.array import Array
from ..bits.difference import ulps
from ..bits.rounding import nearest
from ..cases.question import Question
from ..formats.awq_gemm import NIBBLE_OF_COLUMN
from ..formats.parts import Parts
from ..formats.registry import format_of, parts
from ..subjects.subject import Outcome

_FIRST = re.compile(r"first at \((\d+), (\d+)\)(?:: .*? \(0x([0-9a-f]+)\), expected)?")


def command(id: str, called: str) -> str:
    """What shows a case once more."""
    return f"mlx-quant-conformance show {shlex.quote(id)} --subject {shlex.quote(called)}"


def reproduction(question: Question, called: str, why: str = "") -> str:
    """The command, and as comments the first wrong weight that ``why`` names taken apart; safe to paste."""
    return "\n".join([command(question.id, called), *(f"# {line}" for line in explain_why(question, why))])


def explain_why(question: Question, why: str) -> list[str]:
    """The weight that a record's complaint points at; empty when it points at none."""
    found = _FIRST.search(why)
    if found is None or question.code:
        return []
    row, column, bits = int(found[1]), int(found[2]), found[3]
    return _taken_apart(question, (row, column), None if bits is None else int(bits, 16))


def explain(question: Question, got: Outcome | None) -> list[str]:
    """The first weight of ``got`` that is not the one due, or without an answer the first weight of the module.

    Empty where all is well, and where there is no weight to point at.
    """
    if question.code:
        return []
    if got is None:
        return _taken_apart(question, (0, 0), None)
    due = _due(question)
    if not isinstance(got, Array) or got.shape != due.shape or got.dtype != due.dtype:
        return []
    unequal = np.argwhere(got.bits != due.bits)
    if not len(unequal):
        return []
    place = (int(unequal[0][0]), int(unequal[0][1]))
    return _taken_apart(question, place, int(got.bits[place]))


def _due(question: Question) -> Array:
    if question.expected is not None:
        return question.expected
    return parts(question.config, question.tensors).dense(question.dtype)


def _taken_apart(question: Question, place: tuple[int, int], got: int | None) -> list[str]:
    tensors, true, due = question.tensors, parts(question.config, question.tensors), _due(question)
    row, column = place
    g, q = int(true.g[column]), int(true.q[row, column])
    z, s = int(true.z[g, row]), float(true.s[g, row])
    dtype, scales = question.dtype or due.dtype, tensors["scales"]
    chosen = f"g_idx[{column}]" if "g_idx" in tensors else "by position"
    lines = [
        f"weight [{row}, {column}]: output {row}, input {column}, group {g} ({chosen})",
        _code(question, row, column, q),
        _zero_point(question, row, g, z),
        f"scales[{g}, {row}] = {_hex(scales, int(scales.bits[g, row]))} in {scales.dtype} = {s!r}",
        f"due: s * (q - z) = {s!r} * ({q} - {z}), rounded once to {dtype}: {_shown(due, int(due.bits[place]))}",
    ]
    if got is None:
        return lines
    distance = int(ulps(_one(due.dtype, got), _one(due.dtype, int(due.bits[place])))[0])
    lines.append(f"got: {_shown(due, got)}, {distance} ulp off")
    return lines + [f"     which is what {guess} gives" for guess in islice(_guesses(true, place, due.dtype, got), 1)]


def _code(question: Question, row: int, column: int, q: int) -> str:
    words = question.tensors["qweight"]
    if format_of(question.config) == "awq":
        at, nibble = (column, row // 8), NIBBLE_OF_COLUMN[row % 8]
    else:
        at, nibble = (column // 8, row), column % 8
    return (
        f"qweight[{at[0]}, {at[1]}] = {_hex(words, int(words.bits[at]))}, nibble {nibble} from the lowest: code q = {q}"
    )


def _zero_point(question: Question, row: int, g: int, z: int) -> str:
    if "qzeros" not in question.tensors:
        return f"no qzeros: zero point z = {z}, as of every symmetric module"
    words = question.tensors["qzeros"]
    awq = format_of(question.config) == "awq"
    word, nibble = int(words.bits[g, row // 8]), NIBBLE_OF_COLUMN[row % 8] if awq else row % 8
    stored = (word >> 4 * nibble) & 15
    if awq:
        meant = "as stored"
    elif z == (stored + 1) % 16:
        meant = "stored + 1" if z else "stored + 1, modulo 16"
    else:
        meant = "by policy"
    where = f"qzeros[{g}, {row // 8}] = {_hex(words, word)}, nibble {nibble}"
    return f"{where}: stored {stored}, zero point z = {z} ({meant})"


def _guesses(true: Parts, place: tuple[int, int], dtype: str, got: int) -> Iterator[str]:
    """What else, in place of the zero point, the group or the code, makes the weight that was returned."""
    row, column = place
    g, q = int(true.g[column]), int(true.q[place])

    def gives(s: float, codes: int) -> bool:
        return int(nearest(np.array([s * codes]), dtype).bits[0]) == got

    z, s = int(true.z[g, row]), float(true.s[g, row])
    yield from (f"zero point {other}" for other in (z - 1, z + 1, *range(17)) if other != z and gives(s, q - other))
    yield from (
        f"group {other}"
        for other in range(len(true.s))
        if other != g and gives(float(true.s[other, row]), q - int(true.z[other, row]))
    )
    yield from (f"code {other}" for other in range(16) if other != q and gives(s, other - z))


def _one(dtype: str, bits: int) -> Array:
    return Array(dtype, np.array([bits], np.uint32 if dtype == "float32" else np.uint16))


def _shown(like: Array, bits: int) -> str:
    return f"{float(_one(like.dtype, bits).float64()[0])!r} ({_hex(like, bits)})"


def _hex(like: Array, bits: int) -> str:
    width = like.bits.itemsize * 8
    return f"0x{bits & ((1 << width) - 1):0{width // 4}x}"
