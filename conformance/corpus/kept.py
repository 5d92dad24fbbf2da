"""Packs worth keeping: each is the smallest on which some mutant was caught, written by ``mutants --keep``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..bits.array import Array
from ..formats.module import Pack

FILE = Path(__file__).with_name("examples.json")


def kept() -> Iterator[tuple[str, Pack]]:
    """(id of the mutant, pack)."""
    for entry in json.loads(FILE.read_text()) if FILE.is_file() else []:
        tensors = {
            name: Array(
                stored["dtype"],
                np.frombuffer(bytes.fromhex(stored["hex"]), stored["bits"]).reshape(stored["shape"]),
            )
            for name, stored in entry["tensors"].items()
        }
        yield entry["mutant"], Pack(entry["config"], tensors, frozenset(entry["flags"]), entry["dtype"])


def keep(found: Iterable[tuple[str, Pack]]) -> int:
    """Write ``found`` in place of what was kept, by id, and say how many there are."""
    entries = [
        {
            "mutant": mutant,
            "config": pack.config,
            "dtype": pack.dtype,
            "flags": sorted(pack.flags),
            "tensors": {
                name: {
                    "dtype": array.dtype,
                    "shape": list(array.shape),
                    "bits": array.bits.dtype.newbyteorder("<").str,
                    "hex": array.bits.astype(array.bits.dtype.newbyteorder("<")).tobytes().hex(),
                }
                for name, array in sorted(pack.tensors.items())
            },
        }
        for mutant, pack in sorted(found, key=lambda item: item[0])
    ]
    FILE.write_text(json.dumps(entries, indent=1) + "\n")
    return len(entries)
