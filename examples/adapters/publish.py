"""Writes what the committed reports say into docs/results/README.md and the README, after ``tox -e adapter-NAME``.

python examples/adapters/publish.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from conformance.reports import families, listing  # noqa: E402
from conformance.reports import table as matrix  # noqa: E402
from conformance.run import record as records  # noqa: E402

RESULTS = ROOT / "docs/results"
ORDER = ("mlx-quant", "reference", "c-decoder", "mlx-lm", "unsloth-zoo", "gptqmodel", "auto-gptq", "autoawq")
BEGIN, END = "<!-- matrix: written by examples/adapters/publish.py -->\n", "<!-- end of matrix -->\n"
HEAD = """# Loaders, measured

Each row is a report in this folder, made on Linux x86-64 by `tox -e adapter-NAME` with the loader pinned to the version
named. `mlx-quant-conformance report docs/results/*.jsonl --html loaders.html` makes a page of them on which every cell
opens its cases. What was found is short enough to repeat without the suite: see
[examples/reproductions](../../examples/reproductions/README.md).

"""


def reports(read: Callable[[Path], records.Report] = records.read) -> list[records.Report]:
    """In a fixed order: ours, then MLX's, then the others."""
    files = {file.stem: file for file in RESULTS.glob("*.jsonl")}
    names = [name for name in ORDER if name in files] + sorted(files.keys() - set(ORDER))
    return [read(files[name]) for name in names]


def pages(read: Callable[[Path], records.Report] = records.read) -> dict[Path, str]:
    """File to what should be in it."""
    found = reports(read)
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    kinds = families.table(found)
    links = json.loads((ROOT / "examples/reproductions/causes.json").read_text())
    addresses = {
        loader: {slug: f"../../examples/reproductions/{name}.py" for slug, name in own.items()}
        for loader, own in links.items()
    }
    detailed = (
        f"{HEAD}{kinds}\n{loaders(found)}\n## Causes\n\n{listing.markdown(found, addresses)}\n{matrix.markdown(found)}"
    )
    return {RESULTS / "README.md": detailed, readme: f"{before}{BEGIN}\n{kinds}\n{END}{after}"}


def loaders(found: list[records.Report]) -> str:
    """What was installed, what was claimed and on whose word, and what a maintainer could object."""
    said = json.loads((ROOT / "examples/adapters/loaders.json").read_text())
    lines = [
        "## What was measured",
        "",
        "| loader | installed | claimed, and where that is said | to be held against it |",
    ]
    lines.append("|---|---|---|---|")
    for report in found:
        own = said[report.subject]
        cells = (own["installed"], own["claims"], own["objection"])
        lines.append(f"| {matrix.name(report)} | {' | '.join(map(matrix.escape, cells))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for file, text in pages().items():
        file.write_text(text)
