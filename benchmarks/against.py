"""The speed gate: this tree against another revision of it, on one machine, in one job.

    python benchmarks/against.py REVISION [--slower PERCENT] [--subject NAME]

Both are measured in turns, so that what else the machine does hits both, and the faster run of each counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TURNS = 3


def measured(tree: Path, suite: Path, subject: str, file: Path) -> dict[str, Any]:
    """One run of the benchmarks of ``suite`` on the packages of ``tree``."""
    # The head's benchmarks measure both revisions: what is compared is the decoder, not the question.
    environment = os.environ | {"PYTHONPATH": f"{tree}{os.pathsep}{suite}"}
    command = [sys.executable, "-m", "conformance.cli", "bench", f"--subject={subject}", f"--json={file}"]
    # Where Python starts comes before its path, so it starts in the tree that is measured.
    subprocess.run(command, cwd=tree, env=environment, check=True, stdout=subprocess.DEVNULL)
    return json.loads(file.read_text())


def fastest(runs: list[dict[str, Any]], file: Path) -> Path:
    """One file with the fastest round of each benchmark."""
    best = runs[0]
    for run in runs[1:]:
        for mine, other in zip(best["benchmarks"], run["benchmarks"], strict=True):
            mine["stats"]["min"] = min(mine["stats"]["min"], other["stats"]["min"])
    file.write_text(json.dumps(best))
    return file


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("revision")
    parser.add_argument("--slower", default="10")
    parser.add_argument("--subject", default="py:mlx_quant.subject:SUBJECT")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch, "base")
        subprocess.run(["git", "worktree", "add", "--detach", base, options.revision], cwd=ROOT, check=True)
        try:
            # The decoder alone of each, so that the suite comes from this tree for both.
            trees = {"base": Path(scratch, "base-alone"), "head": Path(scratch, "head-alone")}
            for tree, source in zip(trees.values(), (base, ROOT), strict=True):
                tree.mkdir()
                for package in ("mlx_quant", "reference"):
                    (tree / package).symlink_to(source / package)
            runs: dict[str, list[dict[str, Any]]] = {"base": [], "head": []}
            for turn in range(TURNS):
                for name, tree in trees.items():
                    runs[name].append(measured(tree, ROOT, options.subject, Path(scratch, f"{name}{turn}.json")))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", base], cwd=ROOT, check=True)
        files = [fastest(runs[name], Path(scratch, f"{name}.json")) for name in ("base", "head")]
        command = [sys.executable, "-m", "conformance.cli", "speed", *map(str, files), f"--slower={options.slower}"]
        return subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode


if __name__ == "__main__":
    raise SystemExit(main())
