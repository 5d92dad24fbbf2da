"""Writes what ``peers.py`` and ``checkpoints.py`` measured into ``docs/performance.md``, and draws the curve.

python benchmarks/figures.py PEERS.json CHECKPOINTS.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOC = Path(__file__).parents[1] / "docs" / "performance.md"
CURVE = DOC.with_name("performance.svg")
BEGIN, END = "<!-- benchmarks/figures.py writes from here -->\n", "<!-- to here -->\n"


def sections(peers: dict[str, Any], checkpoints: list[dict[str, Any]]) -> Iterator[str]:
    yield "## Decoding one module, 4096 x 4096 in groups of 128\n"
    yield "Theirs over ours, medians of neighbouring turns; what is above 1 is faster here.\n"
    yield "| | clock | CPU seconds | ours, ms |\n|---|---|---|---|"
    for name, row in peers.items():
        yield f"| {name} | {row['clock']:.2f} | {row['cpu']:.2f} | {row['ours'] * 1e3:.0f} |"
    yield "\n## Loading a model\n"
    yield "`mlx_quant.load` of the packed folder over `mlx_lm.load` of what `convert` makes of it, imports left out.\n"
    yield "| packed | clock | CPU seconds | ours, CPU s | memory gained, MB | theirs |\n|---|---|---|---|---|---|"
    for row in checkpoints:
        load = row["load"]
        yield (
            f"| {named(row)} | {load['ratio']:.1f} | {load['cpu_ratio']:.1f} | {load['cpu']:.2f} "
            f"| {load['memory']:.0f} | {load['mlx_lm.load']['memory']:.0f} |"
        )
    yield "\n## Converting\n"
    yield "MB of the result a second, by the clock and by CPU seconds, and those of a copy of the result.\n"
    yield "| packed | target | written, MB | MB/s | copy | MB / CPU s | copy | memory gained, MB |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in checkpoints:
        for target in ("affine", "dense"):
            if target in row:
                speeds = " | ".join(f"{speed:.0f}" for speed in speeds_of(row[target]))
                written, memory = row[target]["written"], row[target]["memory"]
                yield f"| {named(row)} | {target} | {written:.0f} | {speeds} | {memory:.0f} |"
    yield f"\n![Speed and memory of convert by size]({CURVE.name})\n"


def named(row: dict[str, Any]) -> str:
    return f"{row['method'].upper()}, {row['packed']:.0f} MB"


def speeds_of(found: dict[str, Any]) -> Iterator[float]:
    for unit in ("seconds", "cpu"):
        yield found["written"] / found[unit]
        yield found["copy"]["written"] / found["copy"][unit]


def draw(checkpoints: list[dict[str, Any]]) -> None:
    import matplotlib

    matplotlib.use("svg")
    # The same figures make the same bytes.
    matplotlib.rcParams["svg.hashsalt"] = "performance"
    from matplotlib import pyplot

    figure, (speed, memory) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for method in ("gptq", "awq"):
        for target, line in (("affine", "-"), ("dense", "--")):
            rows = [row for row in checkpoints if row["method"] == method and target in row]
            written = [row[target]["written"] for row in rows]
            for axes, values in (
                (speed, [next(speeds_of(row[target])) for row in rows]),
                (memory, [row[target]["memory"] for row in rows]),
            ):
                axes.plot(written, values, line, marker="o", label=f"{method.upper()} to {target}")
    for axes, title in ((speed, "MB/s"), (memory, "memory gained, MB")):
        axes.set(xscale="log", xlabel="written, MB", ylabel=title, ylim=(0, None))
    speed.legend(frameon=False)
    figure.savefig(CURVE, metadata={"Date": None})


def main(peers: str, checkpoints: str) -> None:
    rows = json.loads(Path(checkpoints).read_text())
    text = "\n".join(sections(json.loads(Path(peers).read_text()), rows))
    before, _, rest = DOC.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOC.write_text(before + BEGIN + "\n" + text + END + after)
    draw(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
