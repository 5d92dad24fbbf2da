"""Where the numbers behind one weight of ParoQuant lie."""

from __future__ import annotations

import numpy as np

from ..explain import hexadecimal
from ..parts import Config, Tensors
from .packing import ANGLES, COLUMNS, PAIRS, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, g = parts(config, tensors), 0
    g = int(true.codes.g[channel])
    found = [f"weight [{output}, {channel}]: output {output}, input {channel}, group {g} (by position)"]
    for number, pairs in enumerate(true.pairs):
        pair, place = (int(index[0]) for index in np.nonzero(pairs == channel))
        other, angle = int(pairs[pair, 1 - place]), float(true.angles[number, pair])
        found.append(
            f"{PAIRS}[{number}, {2 * pair + place}]: {('first', 'second')[place]} of a pair with input {other}, turned "
            f"by {ANGLES}[{number}, {pair}] = {angle!r}"
        )
    q, z, s = int(true.codes.q[output, channel]), int(true.codes.z[g, output]), float(true.codes.s[g, output])
    found.append(f"qweight[{channel}]: code q = {q}; qzeros[{g}]: zero point z = {z}; scales[{g}, {output}] = {s!r}")
    columns = tensors[COLUMNS]
    bits = hexadecimal(columns, int(columns.bits.reshape(-1)[channel]))
    return [*found, f"{COLUMNS}[{channel}] = {bits} in {columns.dtype} = {float(true.c[channel])!r}"]
