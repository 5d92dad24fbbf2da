"""What ``mlx-quant-conformance mutants`` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..corpus import kept as examples
from ..kills import matrix, smallest
from ..kills import picture as matrix_report
from ..mutants import MUTANTS


def run(
    oracle: Any,
    name: str,
    only: list[str] | None,
    output: Path | None,
    check: Path | None,
    keep: bool,
    jobs: int,
) -> int:
    """0 if every mutant is noticed and the matrix stands, 1 if not, 2 for a mutant that there is none of."""
    if unknown := set(only or ()) - {mutant.id for mutant in MUTANTS}:
        print(f"no such mutant: {', '.join(sorted(unknown))}")
        return 2
    if keep:
        print(f"{examples.keep(smallest.every(oracle))} packs kept in {examples.FILE}")
        return 0
    chosen = [mutant for mutant in MUTANTS if not only or mutant.id in only]
    rows = matrix.run(name, chosen, jobs, lambda line: print(line, flush=True))
    if only:
        for row in rows:
            for level, kill in row.kills.items():
                print(f"{row.mutant.id} {level}: {f'{kill.case}: {kill.complaint}' if kill else '-'}")
        if not output:
            return int(any(not row.killers for row in rows))
        rows = matrix_report.with_written(rows, output)
    found = matrix.faults(rows)
    if check:
        found += matrix_report.drift(rows, check)
    if output:
        matrix_report.write(rows, output)
    missed = len(matrix.missed_by_ear(rows))
    print(f"{len(rows)} mutants, {sum(bool(row.killers) for row in rows)} noticed; generation alone misses {missed}")
    for line in found:
        print(f"FAULT  {line}")
    return int(bool(found))
