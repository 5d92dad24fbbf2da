"""Puts one loader to the suite and writes its report: what ``tox -e adapter-NAME`` runs.

    python examples/adapters/measure.py [adapter-]NAME WORK_DIR OUTPUT

Loaders whose requirements the suite does not share answer from an environment of their own, which tox makes as
``loader-NAME`` under WORK_DIR, by way of ``python -m conformance.serve``. The exit status is 0 if a verdict was
reached, whatever it is: what a loader gets wrong is the result, and no failure of the measurement.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
ADAPTERS = ROOT / "examples/adapters"
HERE = {
    "mlx-quant": "py:mlx_quant.subject:SUBJECT",
    "reference": "py:reference.subject:SUBJECT",
    "mlx-lm": "py:mlx_lm_subject:SUBJECT",
}
ELSEWHERE = ("unsloth-zoo", "gptqmodel", "auto-gptq", "autoawq", "onnxruntime-genai", "llama-cpp", "auto-round")
# The C program of examples/command, which is compiled here.
COMPILED = "c-decoder"


def subject(name: str, work: Path) -> str:
    """What to call the loader; its environment is made first."""
    if name in HERE:
        return HERE[name]
    if name == COMPILED:
        program = work / "c-decoder"
        subprocess.run(["cc", "-O2", "-o", program, ROOT / "examples/command/decoder.c"], check=True)
        return f"cmd:{program}"
    environment = work / f"loader-{name}"
    tox = [sys.executable, "-m", "tox", "run", "-q", "-c", ROOT / "tox.ini", "--workdir", work, "-e", environment.name]
    subprocess.run(tox, check=True)
    os.environ["LLAMA_CPP_DIR"] = str(environment / "llama.cpp")
    module = name.replace("-", "_") + "_subject"
    return f"cmd:{shlex.quote(str(environment / 'bin/python'))} -m conformance.serve py:{module}:SUBJECT"


def main() -> int:
    name, work, output = sys.argv[1].removeprefix("adapter-"), Path(sys.argv[2]), Path(sys.argv[3])
    if name not in (*HERE, *ELSEWHERE, COMPILED):
        print(f"no adapter {name!r}; there are {', '.join((*HERE, *ELSEWHERE, COMPILED))}", file=sys.stderr)
        return 2
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ADAPTERS)])
    os.environ["HF_HUB_OFFLINE"] = "1"
    output.mkdir(parents=True, exist_ok=True)
    called, report = subject(name, work), output / f"{name}.jsonl"
    command = [sys.executable, "-m", "conformance.cli", "run", f"--subject={called}", f"--report={report}"]
    status = subprocess.run(command, cwd=ROOT).returncode
    if status not in (0, 1):
        return status
    # Where the environment lies on this machine, and how long a case took there, is of no concern to readers.
    text = report.read_text().replace(str(work), ".tox").replace(str(ROOT), ".")
    text = re.sub(re.escape(tempfile.gettempdir()) + r"/tmp\w+/", "", text)
    report.write_text(re.sub(r', "seconds": [0-9.e-]+', "", text))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
