"""The page on other loaders, from their results: ``python tests/safety/others.py --publish FILE...``"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.safety.fuzz import MEMORY
from tests.safety.others import ASKED, COUNTED, DIED, LARGE, LATE, LEFT, LOADERS, OUTSIDE, RAN, SILENT, sound_bases
from tests.safety.pointed import POINTED
from tests.safety.trial import SECONDS, numbered

ROOT = Path(__file__).parents[2]
PAGE, NUMBERS = ROOT / "docs/untrusted-input.md", ROOT / "docs/untrusted-input.json"
HEADINGS = {
    RAN: "ran its code",
    ASKED: "took a yes from stdin",
    DIED: "died",
    LATE: f"over {SECONDS} s",
    LARGE: f"over {MEMORY >> 30} GiB",
    OUTSIDE: "opened a file outside",
    LEFT: "left something",
}
HEAD = f"""# Untrusted input: other loaders

The fuzzer of [security.md](security.md) bends sound checkpoints. Here others are asked to load the same folders, by the
same numbers, and this project's own loader beside them. This page is written by a command from
`docs/untrusted-input.json`; nothing in it is edited by hand.

## How they are asked

- An input follows from the seed and its number (`tests/safety/bending.py`), or is bent on purpose
  (`tests/safety/pointed.py`). Of the packed bases a loader is asked only of those that it loads when nothing is bent.
  mlx-lm is asked besides about its own forms, float16 and affine, which are bent by the same grammar.
- Each is called as its documentation shows, with its own defaults, in a process of {MEMORY >> 30} GiB beyond what it
  takes to start, for at most {SECONDS} seconds. A folder has about 200 KB. Standard input says "y" twenty times, as
  whoever pipes a prompt may do; the folder beside is watched by the kernel (inotify).
- None of them promises a typed refusal, so **any exception is a refusal**, a Rust panic that Python can catch too.
- What counts against a loader:
"""
DAMAGED = """
**Damaged beyond dispute** is an input whose only edit is one of a file of weights, after which a shard is gone or is no
file, its header cannot be read, or a tensor of the base is gone, or has bytes that are not in the file or are not as
many as its dtype and shape take (`tests/safety/damage.py`). Other values, NaN among them, and edits of configurations
are never counted as damage: what they mean is a matter of opinion. A loader that reads no weights is not asked, and one
that cannot know which tensors there must be is not asked about those that are gone.
"""
REPLAY = """
In brackets is the first number of its kind. To see one again, or a pointed one by the name it has in the next table:

    python tests/safety/others.py --loader mlx-lm --number 0 --verbose
    python tests/safety/others.py --loader transformers --number tokenizer-of-code --verbose
"""


def publish(files: list[Path]) -> int:
    rows = merged([json.loads(file.read_text()) for file in files])
    order = list(LOADERS)
    NUMBERS.write_text(json.dumps({"rows": sorted(rows, key=lambda row: order.index(row["loader"]))}, indent=1) + "\n")
    PAGE.write_text(page())
    return 0


def merged(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a loader. Shares of one seed and of the same versions add up; anything else is an error."""
    rows: dict[str, dict[str, Any]] = {}
    for part in found:
        row = rows.setdefault(part["loader"], part)
        if row is part:
            continue
        if (row["seed"], row["versions"]) != (part["seed"], part["versions"]):
            raise SystemExit(f"{part['loader']}: results of other seeds or versions do not add up")
        if _numbers(row) & _numbers(part):
            raise SystemExit(f"{part['loader']}: the same numbers twice")
        for text, numbers in part["findings"].items():
            row["findings"][text] = sorted([*row["findings"].get(text, []), *numbers])
        row["endings"] = dict(Counter(row["endings"]) + Counter(part["endings"]))
        row["tried"] = sorted([*row["tried"], *part["tried"]])
        row["seconds"] += part["seconds"]
        row["pointed"] |= part["pointed"]
    return list(rows.values())


def _numbers(row: dict[str, Any]) -> set[int]:
    return {number for first, end in row["tried"] for number in range(max(first, 0), end)}


def page() -> str:
    rows = json.loads(NUMBERS.read_text())["rows"]
    lines = [HEAD + "\n".join(f"  - {text[0].upper()}{text[1:]}." for text in COUNTED.values()), DAMAGED]
    lines += ["## Inputs of the fuzzer", "", *_drawn(rows), REPLAY]
    lines += ["## Inputs bent on purpose", "", *_pointed(rows), ""]
    lines += ["## What was installed, and what could be said against a row", ""]
    lines += ["| loader | seed, numbers | installed | to be held against it |", "|---|---|---|---|"]
    for row in rows:
        installed = ", ".join(f"{name} {number}" for name, number in row["versions"].items())
        tried = ", ".join(f"{max(first, 0)} to {end - 1}" for first, end in row["tried"] if end > 0)
        lines.append(f"| {_name(row)} | {row['seed']}: {tried} | {installed} | {LOADERS[row['loader']].objection} |")
    lines += ["", "All of it ran on Linux, without a GPU."]
    return "\n".join(lines) + "\n"


def _drawn(rows: list[dict[str, Any]]) -> list[str]:
    headings = [*HEADINGS.values(), "damaged, and loaded"]
    lines = [f"| loader | inputs | loads | refuses | {' | '.join(headings)} |", "|---" * (len(headings) + 4) + "|"]
    for row in rows:
        endings = Counter(row["endings"])
        asked = endings.total() - endings["not asked"]
        said = [str(endings[word] + endings[f"{word}, damaged"]) for word in ("loads", "refuses")]
        counts = counted(row)
        cells = [
            _cell(counts.get(word, [])) + (_pipes(row, counts.get(word, [])) * (word == LATE)) for word in HEADINGS
        ]
        damaged = endings["loads, damaged"] + endings["refuses, damaged"]
        cells.append(f"{_cell(counts.get(SILENT, []))} of {damaged}" if damaged else "-")
        lines.append(f"| {_name(row)} | {asked} | {' | '.join([*said, *cells])} |")
    return lines


def _pipes(row: dict[str, Any], numbers: list[int]) -> str:
    """How many of these inputs have a pipe in place of a file, for which a loader can only wait."""
    sound = sound_bases(LOADERS[row["loader"]])
    waiting = [number for number in numbers if "pipe" in str(numbered(row["seed"], number, sound).edits)]
    return f", {len(waiting)} of them pipes" if numbers else ""


def counted(row: dict[str, Any]) -> dict[str, list[int]]:
    """What counts, and the numbers of the inputs that had it."""
    found: dict[str, list[int]] = {}
    for text, numbers in row["findings"].items():
        for word in words(text):
            found.setdefault(word, []).extend(numbers)
    return {word: sorted(numbers) for word, numbers in found.items()}


def words(complaint: str) -> list[str]:
    """The words of ``COUNTED`` in a complaint, also in those of the campaign on a process that ended."""
    if complaint.startswith("the process ends"):
        return [DIED]
    return [LATE] if complaint.startswith("hangs") else complaint.split("; ")


def _cell(numbers: list[int]) -> str:
    return f"**{len(numbers)}** ({numbers[0]})" if numbers else "0"


def _pointed(rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"| name | input | {' | '.join(map(_name, rows))} |", "|---" * (len(rows) + 2) + "|"]
    for name, pointed in POINTED.items():
        cells = [_outcome(*row["pointed"].get(name, ("not asked", None))) for row in rows]
        lines.append(f"| `{name}` | {pointed.told} | {' | '.join(cells)} |")
    return lines


def _outcome(ended: str, wrong: str | None) -> str:
    if wrong:
        return f"**{', '.join(words(wrong))}**"
    return {"not asked": "-"}.get(ended, ended.removesuffix(", damaged"))


def _name(row: dict[str, Any]) -> str:
    return LOADERS[row["loader"]].told
