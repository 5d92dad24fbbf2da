"""Puts one loader to the suite and writes its report: what ``tox -e adapter-NAME`` runs.

    python examples/adapters/measure.py [adapter-]NAME WORK_DIR OUTPUT [KNOWN]

With KNOWN, a folder of reports, a loader of another project is asked only what its report in there does not answer:
cases that are new, and those whose question has changed since. Its answers to the others stand, because its environment
is pinned; it must say the same of itself as it did then.

Loaders whose requirements the suite does not share answer from an environment of their own, which tox makes as
``loader-NAME`` under WORK_DIR, by way of ``python -m conformance.serve``. The exit status is 0 if a verdict was
reached, whatever it is: what a loader gets wrong is the result, and no failure of the measurement.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from conformance.run import record as records  # noqa: E402
from conformance.run.record import Report  # noqa: E402
from conformance.suite import cases  # noqa: E402

ADAPTERS = ROOT / "examples/adapters"
HERE = {
    "mlx-quant": "py:mlx_quant.subject:SUBJECT",
    "reference": "py:reference.subject:SUBJECT",
    "mlx-lm": "py:mlx_lm_subject:SUBJECT",
}
ELSEWHERE = (
    *("unsloth-zoo", "gptqmodel", "auto-gptq", "autoawq"),
    *("onnxruntime-genai", "llama-cpp", "auto-round", "transformers"),
)
# The C program of examples/command, which is compiled here.
COMPILED = "c-decoder"
# Their code changes with this repository.
OURS = ("mlx-quant", "reference", COMPILED)


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


def run(called: str, work: Path, report: Path, only: Iterable[str] = ()) -> int:
    """The suite, or some cases of it by id; the status is the suite's."""
    command = [sys.executable, "-m", "conformance.cli", "run", f"--subject={called}", f"--report={report}"]
    status = subprocess.run([*command, *(f"--only={glob.escape(id)}" for id in only)], cwd=ROOT).returncode
    if status in (0, 1):
        # Where the environment lies on this machine, and how long a case took there, is of no concern to readers.
        text = report.read_text().replace(str(work), ".tox").replace(str(ROOT), ".").replace(sys.executable, "python")
        text = re.sub(re.escape(tempfile.gettempdir()) + r"/tmp\w+/", "", text)
        report.write_text(re.sub(r', "seconds": [0-9.e-]+', "", text))
    return status


def anew(known: Report) -> list[str]:
    """Ids of the cases that a report has no answer to, because they are new or no longer ask the same."""
    answered = {record.id: record.asked for record in known.records}
    claims = known.header["claims"]
    return [case.id for case in cases() if case.claim in claims and answered.get(case.id) != case.asked]


def merged(known: Report, new: Report) -> Report | None:
    """Both as one report, in the suite's order; None if they are not of the same loader in the same surroundings."""
    same = ("subject", "called", "info", "claims", "platform", "require")
    if any(known.header.get(key) != new.header.get(key) for key in same):
        return None
    records = {record.id: record for record in (*known.records, *new.records)}
    kept = {"kept": len(records) - len(new.records), "kept_of": known.header["started"]}
    ordered = [records[case.id] for case in cases() if case.id in records]
    return Report(new.header | {"partial": False} | kept, ordered)


def measure(name: str, called: str, work: Path, report: Path, known: Path | None) -> int:
    """Write the report; of a loader that is pinned, only what the ``known`` one does not answer is asked again."""
    if known is None or name in OURS or not known.exists():
        return run(called, work, report)
    before = records.read(known)
    ids = anew(before)
    if not ids:
        shutil.copy(known, report)
        return 0
    status = run(called, work, report, ids)
    if status not in (0, 1):
        return status
    whole = merged(before, records.read(report))
    if whole is None:
        return run(called, work, report)
    whole.write(report)
    return 0


def main() -> int:
    name, *folders = sys.argv[1].removeprefix("adapter-"), *map(Path, sys.argv[2:])
    work, output, *more = folders
    if name not in (*HERE, *ELSEWHERE, COMPILED):
        print(f"no adapter {name!r}; there are {', '.join((*HERE, *ELSEWHERE, COMPILED))}", file=sys.stderr)
        return 2
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ADAPTERS)])
    os.environ["HF_HUB_OFFLINE"] = "1"
    output.mkdir(parents=True, exist_ok=True)
    called, report = subject(name, work), output / f"{name}.jsonl"
    status = measure(name, called, work, report, more[0] / report.name if more else None)
    return 0 if status in (0, 1) else status


if __name__ == "__main__":
    raise SystemExit(main())
