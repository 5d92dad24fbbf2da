"""Mutates the formats and the shared arithmetic, and asks whether the suite or the unit tests notice.

The mutants are cosmic-ray's, and one more of each module-level table for every entry: the table without it. Each is
judged in a forked child, which has everything imported except MLX and the core, so nothing is written to disk and most
take a fraction of a second. ``tox -e mutation`` runs all; its status is 1 if one survives that
``tests/project/mutation_known.json`` does not list, or one listed there does not survive. Results: docs/mutation.md.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import importlib.abc
import importlib.util
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cosmic_ray.plugins
import parso
import pytest
from cosmic_ray.mutating import MutationVisitor

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from conformance.kills.matrix import QUICK, Cases, first_kill  # noqa: E402
from conformance.subjects.ask import single_threaded  # noqa: E402
from conformance.subjects.resolve import CORE, ORACLE, resolve  # noqa: E402

MUTATED = [
    *(ROOT / f"mlx_quant/packings/{name}.py" for name in ("awq_gemm", "checks", "gptq")),
    *(ROOT / f"mlx_quant/weights/{name}.py" for name in ("bits", "integer", "native", "rounding")),
]
UNIT_TESTS = tuple(f"tests/core/test_{name}.py" for name in ("weights", "bits", "packings", "gptq", "dialects"))
KNOWN, DOC = ROOT / "tests/project/mutation_known.json", ROOT / "docs/mutation.md"
SECONDS = 180
FATES = (*QUICK, "unit tests", "import", "clock", "signal", "survived")


@dataclass
class Mutant:
    """``fate`` is one of FATES, ``detail`` the case that noticed and how, or the error."""

    file: str
    line: int
    operator: str
    before: str
    after: str
    fate: str = ""
    detail: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.file, self.before, self.after


def mutants(file: Path) -> Iterator[tuple[Mutant, str]]:
    """Every mutant of a file: what it is, and the whole source."""
    source = file.read_text()
    name, unchanged = file.relative_to(ROOT).as_posix(), _executed(source)
    for operator in sorted(cosmic_ray.plugins.operator_names()):
        operator_class = cosmic_ray.plugins.get_operator(operator)
        if operator_class.arguments():
            continue  # these insert and replace variables that one must name
        for occurrence in range(10**6):
            visitor = MutationVisitor(occurrence, operator_class())
            mutated = visitor.walk(parso.parse(source)).get_code()
            if not visitor.mutation_applied:
                break
            if _executed(mutated) not in (None, unchanged):
                line, before, after = _difference(source, mutated)
                yield Mutant(name, line, operator, before, after), mutated
    yield from _shorter_tables(name, source)


def _executed(source: str) -> str | None:
    """The syntax tree without the annotations of functions, which are never evaluated; None if it is no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
    return ast.dump(tree)


def _difference(source: str, mutated: str) -> tuple[int, str, str]:
    """Number, text before and text after of the first lines that differ."""
    old, new = source.splitlines(), mutated.splitlines()
    for tag, i, i_end, j, j_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            return i + 1, _joined(old[i:i_end]), _joined(new[j:j_end])
    raise ValueError("nothing differs")


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines).strip()


def _shorter_tables(name: str, source: str) -> Iterator[tuple[Mutant, str]]:
    """For every entry of every module-level table, the source without it."""
    for statement in ast.parse(source).body:
        table = getattr(statement, "value", None)
        if not isinstance(table, ast.Tuple | ast.Dict):
            continue
        called = ast.unparse(statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0])
        if called == "REFUSED":
            continue  # what is left out there is refused all the same, in fewer words
        whole = f"= {ast.get_source_segment(source, table)}"
        for index, entry in enumerate(table.keys if isinstance(table, ast.Dict) else table.elts):
            shorter = ast.parse(ast.unparse(table), mode="eval").body
            for part in {"elts", "keys", "values"} & set(table._fields):
                del getattr(shorter, part)[index]
            mutated = source.replace(whole, f"= {ast.unparse(shorter)}", 1)
            yield Mutant(name, entry.lineno, "shorter table", f"{called}: {ast.unparse(entry)}", "left out"), mutated


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module another source than the file's."""

    def __init__(self, file: str, source: str) -> None:
        self.file, self.source = file, source
        self.name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != self.name:
            return None
        inside = [str((ROOT / self.file).parent)] if self.file.endswith("__init__.py") else None
        return importlib.util.spec_from_file_location(
            name, ROOT / self.file, loader=self, submodule_search_locations=inside
        )

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        exec(compile(self.source, self.file, "exec"), module.__dict__)

    def imported(self) -> bool:
        return self.name in sys.modules and sys.modules[self.name].__spec__.loader is self


def fate(file: str, source: str, oracle: Any, cases: Cases) -> tuple[str, str]:
    """What becomes of the core with ``source`` for ``file``, decided in a child that nothing outlives."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(SECONDS)
        os.write(writing, json.dumps(_judged(Mutated(file, source), oracle, cases)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        found = pipe.read()
    status = os.waitpid(child, 0)[1]
    if found:
        decided, detail = json.loads(found)
        return decided, detail
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"the child for {file} ended with status {status} and said nothing")
    ended = signal.Signals(os.WTERMSIG(status))
    return "clock" if ended is signal.SIGALRM else "signal", ended.name


def _judged(mutated: Mutated, oracle: Any, cases: Cases) -> tuple[str, str]:
    sys.meta_path.insert(0, mutated)
    try:
        subject = resolve(CORE)
    except BaseException as error:  # a mutant may do anything
        return "import", repr(error)
    if not mutated.imported():
        os._exit(3)
    for level in QUICK:
        if kill := first_kill(subject, oracle, cases.of(level)):
            return level, f"{kill.case}: {kill.manner}"
    files = [str(ROOT / file) for file in UNIT_TESTS]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = pytest.main([*files, "-q", "-x", "-p", "no:cacheprovider"])
    failed = [line for line in output.getvalue().splitlines() if line.startswith(("FAILED", "ERROR"))]
    return ("unit tests", " ".join(failed)) if status else ("survived", "")


def known() -> set[tuple[str, str, str]]:
    """The survivors that were looked at: each group has a line, its mutants and one reason, which the page names."""
    groups, page = json.loads(KNOWN.read_text()), DOC.read_text()
    assert all(f"| {group['reason']} |" in page for group in groups)
    return {(group["file"], group["before"], after) for group in groups for after in group["after"]}


def table(judged: list[Mutant]) -> str:
    """The score in Markdown, a row a file."""
    counts = Counter((mutant.file, mutant.fate) for mutant in judged)
    fates = [fate for fate in FATES if any(counts[file, fate] for file, _ in counts)]
    lines = [f"| file | mutants | {' | '.join(fates)} |", "|---" * (len(fates) + 2) + "|"]
    for file in dict.fromkeys(mutant.file for mutant in judged):
        cells = [counts[file, fate] for fate in fates]
        lines.append(f"| `{file}` | {sum(cells)} | {' | '.join(map(str, cells))} |")
    total = [sum(counts[file, fate] for file in {file for file, _ in counts}) for fate in fates]
    return "\n".join([*lines, f"| all | {sum(total)} | {' | '.join(map(str, total))} |"])


def judged_here(files: list[Path], shard: tuple[int, int], output: Path | None) -> list[Mutant]:
    """Every ``shard[1]``-th mutant from number ``shard[0]`` on, each judged in a child of this process."""
    single_threaded()
    warnings.simplefilter("ignore", SyntaxWarning)  # `is` with a literal; some mutants are bad style
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # a third of the time the unit tests take
    oracle, cases = resolve(ORACLE), Cases()
    for level in QUICK:
        assert first_kill(oracle, oracle, cases.of(level)) is None
    # MLX keeps threads, and a fork keeps none: it must be new to every child, and so must the core.
    assert not {"mlx.core", "mlx_quant"} & sys.modules.keys()
    if shard[0] == 0:
        for file in files:
            unspoilt = fate(file.relative_to(ROOT).as_posix(), file.read_text(), oracle, cases)
            assert unspoilt[0] == "survived", unspoilt
    judged = []
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(output.open("w")) if output else None
        every = (pair for file in files for pair in mutants(file))
        for mutant, source in itertools.islice(every, shard[0], None, shard[1]):
            mutant.fate, mutant.detail = fate(mutant.file, source, oracle, cases)
            judged.append(mutant)
            if lines:
                print(json.dumps(asdict(mutant)), file=lines, flush=True)
    return judged


def judged_by_many(jobs: int, only: str) -> list[Mutant]:
    """The same in ``jobs`` processes, a share of the mutants each."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, str(number)) for number in range(jobs)]
        command = [sys.executable, __file__, f"--only={only}"]
        running = [
            subprocess.Popen([*command, f"--shard={number}/{jobs}", f"--output={output}"], stdout=subprocess.DEVNULL)
            for number, output in enumerate(outputs)
        ]
        if failed := [number for number, process in enumerate(running) if process.wait() not in (0, 1)]:
            raise SystemExit(f"shares {failed} of the mutants were not judged to the end")
        found = [Mutant(**json.loads(line)) for output in outputs for line in output.read_text().splitlines()]
    return sorted(found, key=lambda mutant: (mutant.file, mutant.line))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="mutants of files whose path contains this")
    parser.add_argument("--output", type=Path, help="write every result as a line of JSON")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the mutants")
    parser.add_argument("--shard", default="0/1", help="K/N: every N-th mutant from number K on")
    options = parser.parse_args()
    files = [file for file in MUTATED if options.only in str(file.relative_to(ROOT))]
    if options.jobs > 1:
        judged = judged_by_many(options.jobs, options.only)
        if options.output:
            options.output.write_text("".join(json.dumps(asdict(mutant)) + "\n" for mutant in judged))
    else:
        number, count = map(int, options.shard.split("/"))
        judged = judged_here(files, (number, count), options.output)
        if count > 1:
            return 0
    survived = {mutant.key for mutant in judged if mutant.fate == "survived"}
    expected = {key for key in known() if key[0] in {mutant.file for mutant in judged}}
    print(table(judged))
    for title, keys in (("survives and is not known", survived - expected), ("no survivor", expected - survived)):
        for file, before, after in sorted(keys):
            print(f"{title}: {file}: {before}  ->  {after}")
    return int(survived != expected)


if __name__ == "__main__":
    raise SystemExit(main())
