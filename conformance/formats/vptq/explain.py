"""Where the numbers behind one weight of VPTQ's lie."""

from __future__ import annotations

from ..explain import hexadecimal
from ..parts import Config, Tensors
from .packing import BIASES, FEW_INDICES, FEW_TABLES, INDICES, ORDER, RES_TABLES, SCALES, TABLES, parts, said


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, kind = parts(config, tensors), said(config)
    column = channel
    found = [f"weight [{output}, {channel}]"]
    if true.perm is not None:
        column = int((true.perm == channel).nonzero()[0][0])
        found.append(f"{ORDER}[{column}] = {channel}: column {column}")
    if true.o is not None and true.t is not None and column < true.apart:
        row, place = divmod(output, true.t.shape[1])
        code = int(true.o[row, column])
        entry = float(true.t[code, place])
        found.append(
            f"{FEW_INDICES}[0, {row}, {column}] = {code}, of which {FEW_TABLES} has {entry!r} in place {place}"
        )
    else:
        book, j = divmod(column - true.apart, true.q.shape[2])
        row, place = divmod(output, kind.vector)
        first = j * kind.total
        code = int(true.q[book, row, j])
        found.append(
            f"{INDICES}[{book}, {row}], bits {first} to {first + kind.bits - 1}: code {code}, of which "
            f"{TABLES}[{book}] has {float(true.e[book, code, place])!r} in place {place}"
        )
        if true.p is not None and true.r is not None:
            code = int(true.p[book, row, j])
            found.append(
                f"the {kind.more} bits after them: residual {code}, of which {RES_TABLES}[{book}] has "
                f"{float(true.r[book, code, place])!r}"
            )
    for name in (SCALES, BIASES):
        if name in tensors:
            own = tensors[name]
            bits = hexadecimal(own, int(own.bits[channel]))
            found.append(f"{name}[{channel}] = {bits} in {own.dtype} = {float(own.float64()[channel])!r}")
    return found
