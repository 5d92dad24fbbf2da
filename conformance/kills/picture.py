"""The kill matrix as JSON, as a table, and as a picture."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from .. import SUITE_VERSION
from ..levels.catalogue import MET
from ..mutants import MUTANTS
from .matrix import Kill, Row, missed_by_ear

HEAD = """# The kill matrix

{count} faults that real loaders had, each built into a sound decoder or loader, against every level of the suite.
Written by `mlx-quant-conformance mutants --output docs`; what the levels are is said in [levels.md](levels.md), and
[mutants.json](mutants.json) names the first case that noticed each.

`x` noticed, `.` not noticed, empty where the level cannot meet the mutant: faults of single modules have no loader of
their own, and faults of whole checkpoints decode single modules soundly. A mutant meets the smaller cases of each
level, so a `.` is conservative.

The generation smoke test alone would have missed **{missed} of {count}**. {alone} are noticed by one level only.
"""


def data(rows: list[Row]) -> dict[str, Any]:
    """What is worth keeping, in a form that does not change from run to run."""
    return {
        "suite": SUITE_VERSION,
        "levels": list(MET),
        "mutants": [
            {
                "id": row.mutant.id,
                "bug": str(row.mutant.bug),
                "mechanism": row.mutant.mechanism,
                "links": list(row.mutant.links),
                "formats": list(row.mutant.formats),
                "expected": list(row.mutant.killed_by),
                "levels": {
                    level: {"case": kill.case, "manner": kill.manner} if kill else None
                    for level, kill in row.kills.items()
                },
            }
            for row in rows
        ],
        "missed_by_generation": [row.mutant.id for row in missed_by_ear(rows)],
    }


def table(rows: list[Row]) -> str:
    alone = [row for row in rows if len(row.killers) == 1]
    lines = [HEAD.format(count=len(rows), missed=len(missed_by_ear(rows)), alone=len(alone))]
    lines += ["| level | meets | notices | alone |", "|---|---|---|---|"]
    for level in MET:
        met = [row for row in rows if level in row.kills]
        noticed = sum(level in row.killers for row in met)
        lines.append(f"| {level} | {len(met)} | {noticed} | {sum(row.killers == (level,) for row in rows)} |")
    lines += ["", f"| id | fault | kind | {' | '.join(MET)} |", f"|---|---|---|{'---|' * len(MET)}"]
    for row in rows:
        marks = " | ".join("" if level not in row.kills else "x" if row.kills[level] else "." for level in MET)
        where = " ".join(f"[{number}]({link})" for number, link in enumerate(row.mutant.links, 1))
        lines.append(f"| {row.mutant.id} | {_cell(row.mutant.mechanism)} {where} | {row.mutant.bug} | {marks} |")
    lines += ["", "## Missed by the generation smoke test alone", ""]
    lines += [f"- {row.mutant.id}: {_cell(row.mutant.mechanism)}" for row in missed_by_ear(rows)]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("`", "\\`")


CELL, LEFT, TOP, BLOCKS = 13, 62, 96, 3
NOTICED, SILENT, INK = "#1f6f5c", "#e9e4d8", "#222222"


def picture(rows: list[Row]) -> str:
    """An SVG: one line a mutant, one column a level, in blocks side by side."""
    height = -(-len(rows) // BLOCKS)
    block = LEFT + CELL * len(MET) + 24
    width, bottom = block * BLOCKS + 8, TOP + CELL * height + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom}" font-family="sans-serif" '
        'font-size="9">',
        f"<title>Which level notices which of {len(rows)} mutants</title>",
        f'<rect width="{width}" height="{bottom}" fill="#ffffff"/>',
    ]
    for number in range(BLOCKS):
        left = 8 + number * block
        for column, level in enumerate(MET):
            x = left + LEFT + CELL * column + 9
            parts.append(f'<text transform="translate({x},{TOP - 6}) rotate(-60)" fill="{INK}">{level}</text>')
        for line, row in enumerate(rows[number * height : (number + 1) * height]):
            y = TOP + CELL * line
            tip = f"<title>{escape(row.mutant.id)}: {escape(row.mutant.mechanism)}</title>"
            parts.append(f'<text x="{left}" y="{y + 10}" fill="{INK}">{escape(row.mutant.id)}{tip}</text>')
            for column, level in enumerate(MET):
                if level in row.kills:
                    x, colour = left + LEFT + CELL * column, NOTICED if row.kills[level] else SILENT
                    size = CELL - 2
                    parts.append(f'<rect x="{x}" y="{y}" width="{size}" height="{size}" fill="{colour}">{tip}</rect>')
    y = bottom - 18
    for x, colour, text in ((8, NOTICED, "noticed"), (90, SILENT, "not noticed")):
        parts.append(f'<rect x="{x}" y="{y}" width="11" height="11" fill="{colour}"/>')
        parts.append(f'<text x="{x + 16}" y="{y + 9}" fill="{INK}">{text}</text>')
    parts.append(f'<text x="190" y="{y + 9}" fill="{INK}">empty: the level cannot meet the mutant</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def write(rows: list[Row], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mutants.json").write_text(json.dumps(data(rows), indent=1) + "\n")
    (folder / "mutants.md").write_text(table(rows))
    (folder / "mutants.svg").write_text(picture(rows))


def with_written(rows: list[Row], folder: Path) -> list[Row]:
    """These, and of every other mutant the row that was written in ``folder``, without what was complained of."""
    asked = {row.mutant.id: row for row in rows}
    written = {entry["id"]: entry["levels"] for entry in json.loads((folder / "mutants.json").read_text())["mutants"]}
    found = []
    for mutant in MUTANTS:
        if mutant.id in asked:
            found.append(asked[mutant.id])
        elif mutant.id in written:
            levels = written[mutant.id].items()
            kills = {level: Kill(kill["case"], kill["manner"], "") if kill else None for level, kill in levels}
            found.append(Row(mutant, kills))
    return found


def drift(rows: list[Row], folder: Path) -> list[str]:
    """Where the matrix differs from the one written in ``folder``, in which mutants and levels."""
    written = json.loads((folder / "mutants.json").read_text())
    before = {entry["id"]: {k: bool(v) for k, v in entry["levels"].items()} for entry in written["mutants"]}
    now = {row.mutant.id: {level: bool(kill) for level, kill in row.kills.items()} for row in rows}
    found = [f"{id} is not in the written matrix" for id in now.keys() - before.keys()]
    found += [f"{id} is in the written matrix only" for id in before.keys() - now.keys()]
    for id in now.keys() & before.keys():
        changed = [level for level in MET if now[id].get(level) != before[id].get(level)]
        found += [f"{id}: {', '.join(changed)} changed"] if changed else []
    return sorted(found)
