"""Whole checkpoints: ``load`` beside ``mlx_lm.load``, and ``convert`` beside a copy of what it writes.

Each measurement is a process of its own, and neighbours take turns. The checkpoints are ``examples/make_large.py``'s,
layers of a 7B Llama in 4 bits, groups of 128; they and the copies lie in the page cache, and nothing is flushed.

A virtual machine gets memory from its host as it touches it, slowly, and gives back what is free: who runs after a
process that freed much would seem fast. So each process first writes a file as large as all that it will touch, up to
2.5 GB, and removes it; memory of its own, freed, would go back to the host at once.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_UNWRITTEN = 5 << 29


def measured(what: str, source: str, destination: str, touched: int) -> dict[str, float]:
    """One call in this process: seconds, CPU seconds of all threads, megabytes it wrote, and gained at its peak.

    What every user of mlx-lm imports is imported before, and a tokenizer is made before, which imports the rest. As
    much memory as is ``touched`` was just freed.
    """
    if what == "copy":
        work = lambda: shutil.copytree(source, destination)  # noqa: E731
    else:
        import mlx.core as mx
        import mlx_lm.models.llama
        import mlx_lm.utils

        import mlx_quant
        from mlx_quant.running import load as _  # noqa: F401

        mx.set_default_device(mx.cpu)
        mlx_lm.utils.load_tokenizer(Path(source))
        work = {
            "mlx_lm.load": lambda: mlx_lm.utils.load(source),
            "load": lambda: mlx_quant.load(source),
            "affine": lambda: mlx_quant.convert(source, destination, target="affine", progress=False, durable=False),
            "dense": lambda: mlx_quant.convert(source, destination, target="dense", progress=False, durable=False),
        }[what]
    _supply(touched)
    before, begun, spent = _peak(), time.perf_counter(), time.process_time()
    work()
    found = {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - spent}
    written = sum(path.stat().st_size for path in Path(destination).glob("*")) if destination else 0
    return found | {"written": written / 1e6, "memory": (_peak() - before) / 1e6}


def _supply(nbytes: int) -> None:
    """Let the host supply so much memory, or as much as a file may take before the system writes it to the disk."""
    part = bytes(1 << 24)
    with tempfile.TemporaryFile() as file:
        for _ in range(-(-min(nbytes, _UNWRITTEN) // len(part))):
            file.write(part)


def _peak() -> int:
    # Of Linux's two figures this one begins anew with each program.
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def fresh(what: str, source: Path, destination: Path | str = "", *, touched: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", what, str(source), str(destination), str(touched)]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def medians(turns: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}


def contest(scratch: Path, method: str, layers: int, turns: int, targets: list[str]) -> dict[str, Any]:
    """Medians by what was measured, and of the ratios of neighbouring turns."""
    source = scratch / "packed"
    make = [sys.executable, ROOT / "examples/make_large.py", source, "--method", method, "--layers", str(layers)]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    packed = sum(path.stat().st_size for path in source.glob("*.safetensors")) / 1e6
    found: dict[str, Any] = {"method": method, "layers": layers, "packed": packed}
    for target in targets:
        ours, copies, own, theirs = [], [], [], []
        # Dense weights have four times the bits. Beside what is read and written a process needs less than 1 GB.
        touched = round(packed * 1e6 * (4 if target == "dense" else 1)) + (1 << 30)
        for turn in range(turns):
            converted, copy = scratch / "converted", scratch / "copy"
            ours.append(fresh(target, source, converted, touched=touched))
            copies.append(fresh("copy", converted, copy, touched=touched))
            shutil.rmtree(copy)
            if target == "affine":
                theirs.append(fresh("mlx_lm.load", converted, touched=touched))
                own.append(fresh("load", source, touched=touched))
            shutil.rmtree(converted)
            print(f"{method} {packed:.0f} MB {target}, turn {turn + 1}", file=sys.stderr, flush=True)
        found[target] = medians(ours) | {"copy": medians(copies)}
        if own:
            found["load"] = medians(own) | {
                "mlx_lm.load": medians(theirs),
                "ratio": statistics.median(a["seconds"] / b["seconds"] for a, b in zip(own, theirs, strict=True)),
                "cpu_ratio": statistics.median(a["cpu"] / b["cpu"] for a, b in zip(own, theirs, strict=True)),
            }
    shutil.rmtree(source)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 3, 9], help="of each checkpoint; one is 0.1 GB")
    parser.add_argument("--most-dense", type=int, default=9, help="layers up to which dense is measured")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        what, source, destination, touched = options.one
        print(json.dumps(measured(what, source, destination, int(touched))))
        return
    rows = []
    for layers in options.layers:
        for method in ("gptq", "awq"):
            with tempfile.TemporaryDirectory() as scratch:
                targets = ["affine", "dense"] if layers <= options.most_dense else ["affine"]
                rows.append(contest(Path(scratch), method, layers, options.turns, targets))
        # What was measured so far is kept.
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
