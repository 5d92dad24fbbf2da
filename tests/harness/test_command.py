"""Subjects in any language: the C decoder under the suite's own questions, and programs that do not behave."""

from __future__ import annotations

import gc
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance import suite
from conformance.bits.array import Array
from conformance.bits.difference import difference
from conformance.cases.case import Case
from conformance.corpus.fixtures import ROOT as FIXTURES
from conformance.corpus.fixtures import vectors
from conformance.levels import drawn
from conformance.levels.refusals import refusals
from conformance.run.claims import Claim
from conformance.subjects.ask import decode, load, load_weights, single_threaded
from conformance.subjects.program import CommandCrashed, CommandError, CommandRefused, CommandSubject
from conformance.subjects.resolve import ORACLE, resolve, resolve_apart
from conformance.subjects.subject import Crashed, Model, Refused, SubjectError

ROOT = Path(__file__).parents[2]
SOURCE = (ROOT / "examples/command/decoder.c").read_text()
TENSORS = {"scales": Array.of(np.arange(6, dtype=np.float16).reshape(2, 3))}


def compiled(source: str, folder: Path) -> str:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.fail("no C compiler (cc, gcc or clang), and the protocol is proven by a program in C")
    (folder / "decoder.c").write_text(source)
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, "-o", str(folder / "decoder"), str(folder / "decoder.c")], check=True)
    return shlex.quote(str(folder / "decoder"))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> CommandSubject:
    return CommandSubject(compiled(SOURCE, tmp_path_factory.mktemp("a folder")))


@pytest.fixture(scope="module")
def oracle() -> Any:
    single_threaded()
    return resolve(ORACLE)


def of_suite(prefix: str) -> Callable[[], list[Case]]:
    return lambda: [case for case in suite.cases() if case.id.startswith(prefix)]


# Each with the number of its cases that the decoder claims, at least.
QUESTIONS: dict[str, tuple[Callable[[], Iterable[Case]], int]] = {
    "upstream vectors": (of_suite("vectors/"), 90),
    "policies": (of_suite("policies/"), 190),
    "refusals": (of_suite("refusals/"), 80),
    "kept packs": (of_suite("synthetic/kept-"), 50),
    "generated packs": (lambda: drawn.generated(100, ("gptq", "awq")), 500),
}


def claimed(level: str, subject: CommandSubject) -> list[Case]:
    info = subject.info()
    claim = Claim(frozenset(info["formats"]), frozenset(info["excludes"]))
    return [case for case in QUESTIONS[level][0]() if claim.covers(case)]


def complaints(subject: Any, oracle: Any, cases: list[Case]) -> dict[str, str]:
    return {case.id: complaint for case in cases if (complaint := case.judge(subject, oracle).complaint)}


@pytest.mark.parametrize("level", QUESTIONS)
def test_the_c_decoder_is_right(level: str, decoder: CommandSubject, oracle: Any) -> None:
    cases = claimed(level, decoder)
    assert len(cases) >= QUESTIONS[level][1]
    assert not complaints(decoder, oracle, cases)


@pytest.mark.parametrize(
    ("level", "right", "wrong"),
    [
        ("upstream vectors", "{0, 4, 1, 5, 2, 6, 3, 7}", "{0, 2, 4, 6, 1, 3, 5, 7}"),
        ("upstream vectors", "settings.bits) + one)", "settings.bits) + 0 * one)"),
        ("generated packs", "(lost == half && kept & 1)", "lost == half"),
        ("refusals", '"non-finite-scales", ', '"bad-shape", '),
    ],
)
def test_a_wrong_c_decoder_is_noticed(level: str, right: str, wrong: str, oracle: Any, tmp_path: Path) -> None:
    assert right in SOURCE
    subject = CommandSubject(compiled(SOURCE.replace(right, wrong), tmp_path))
    assert complaints(subject, oracle, claimed(level, subject))


def test_every_code_that_is_expected_is_written_down() -> None:
    written = (ROOT / "docs/protocol.md").read_text()
    assert not [refusal.id for _, refusal in refusals() if f"| `{refusal.code}` |" not in written]


def test_what_the_c_decoder_says_of_itself(decoder: CommandSubject) -> None:
    assert decoder.name == "decoder.c"
    assert decoder.framework == "array"
    assert decoder.info() == {
        "version": "1.1",
        "formats": ["awq", "gptq"],
        "excludes": ["awq-else"],
        "backend": "C",
    }
    assert not hasattr(decoder, "load")
    assert not hasattr(decoder, "to_affine")


# Does what the configuration says, in Python; where that does not raise, it hands the scales back as the weight.
OBEDIENT = """
import json, os, shutil, sys, time
def say(**answer):
    print(json.dumps(answer), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    seq = request["seq"]
    if request["do"] == "info":
        say(seq=seq, ok={"protocol": 1, "name": "obedient", "version": "7", "formats": ["gptq"]})
    elif request["do"] == "dequantize":
        try:
            exec(request["config"].get("behave", ""))
        except StopIteration:
            continue
        data = open(request["tensors"], "rb").read().replace(b"scales", b"weight")
        open(request["output"], "wb").write(data)
        say(seq=seq, ok={})
"""


def program(source: str) -> str:
    return shlex.join([sys.executable, "-c", source])


def told(subject: CommandSubject, behave: str = "") -> Array:
    return subject.dequantize({"behave": behave}, TENSORS)


@pytest.fixture
def obedient() -> CommandSubject:
    return CommandSubject(program(OBEDIENT))


def test_bits_cross_unchanged(obedient: CommandSubject) -> None:
    for _ in range(3):
        assert not difference(told(obedient), TENSORS["scales"])


MISBEHAVIOUR = {
    "dies": ("sys.stderr.write('out of luck'); sys.exit(3)", "(?s)died .status 3.*out of luck"),
    "is killed": ("os.kill(os.getpid(), 11)", r"died \(status -11\)"),
    "says garbage": ("print('hello', flush=True)", "no JSON object on a line: 'hello'"),
    "says a list": ("print([], flush=True)", "no JSON object"),
    "says bytes": (r"sys.stdout.buffer.write(b'\xff\n'); sys.stdout.flush()", "no JSON object"),
    "says half a line": ('sys.stdout.write(\'{"seq": 1, "ok": {}}\'); sys.exit()', "no JSON object on a line"),
    "nests": ("print('[' * 500000, flush=True)", "no JSON object"),
    "floods": ("print('x' * 3_000_000, flush=True)", "no JSON object"),
    "answers the last question": ("say(seq=seq - 1, ok={})", "did not answer question"),
    "answers no question": ("say(ok={})", "did not answer question"),
    "answers True": ("say(seq=True, ok={})", "did not answer question"),
    "answers nothing": ("say(seq=seq)", "no answer"),
    "answers twice in one": ("say(seq=seq, ok={}, refused='no')", "no answer"),
    "refuses without a word": ("say(seq=seq, refused=None)", "no answer"),
    "refuses by number": ("say(seq=seq, refused='no', code=7)", "no answer"),
    "writes nothing": ("say(seq=seq, ok={}); raise StopIteration", "output cannot be read"),
    "writes what is no safetensors": (
        "open(request['output'], 'w').write('1'); say(seq=seq, ok={}); raise StopIteration",
        "output cannot be read",
    ),
    "writes another name": (
        "shutil.copy(request['tensors'], request['output']); say(seq=seq, ok={}); raise StopIteration",
        "wrote no weight: scales",
    ),
    "says that it failed": ("say(seq=seq, error='no memory'); raise StopIteration", "says that it failed: no memory"),
}


@pytest.mark.parametrize("kind", MISBEHAVIOUR)
def test_misbehaviour_costs_one_question(kind: str, obedient: CommandSubject) -> None:
    behave, message = MISBEHAVIOUR[kind]
    told(obedient)
    with pytest.raises(CommandCrashed, match=message):
        told(obedient, behave)
    assert not difference(told(obedient), TENSORS["scales"])


def limited(subject: CommandSubject, seconds: float) -> None:
    """From now on: on a busy machine a program may need longer than this to start."""
    subject._program._limit = seconds


@pytest.mark.parametrize("behave", ["time.sleep(60)", "os.close(1); time.sleep(60)"])
def test_silence_has_a_limit(behave: str, obedient: CommandSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.subjects.program.SECONDS_TO_STOP", 0.3)
    limited(obedient, 0.4)
    with pytest.raises(CommandCrashed, match=r"was silent for 0\.4 s|died"):
        told(obedient, behave)
    limited(obedient, 60)
    assert not difference(told(obedient), TENSORS["scales"])


def test_one_that_does_not_read_has_a_limit_too() -> None:
    deaf = OBEDIENT.replace("for line in sys.stdin:", "for line in [input()]:") + "time.sleep(60)"
    subject = CommandSubject(program(deaf))
    limited(subject, 0.5)
    with pytest.raises(CommandCrashed, match="was silent"):
        told(subject, "#" * 5_000_000)


def test_the_limit_is_set_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLX_QUANT_COMMAND_TIMEOUT", "2.5")
    subject = CommandSubject(program(OBEDIENT))
    with pytest.raises(CommandCrashed, match=r"was silent for 2\.5 s"):
        told(subject, "time.sleep(60)")


def test_an_interrupted_question_is_not_taken_for_the_next(obedient: CommandSubject) -> None:
    timer = threading.Timer(0.5, signal.pthread_kill, [threading.get_ident(), signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        told(obedient, "time.sleep(1)")
    assert not difference(told(obedient), TENSORS["scales"])


def test_a_refusal_has_a_code_only_if_it_was_given(obedient: CommandSubject) -> None:
    plain = decode(obedient, {"behave": "say(seq=seq, refused='not mine'); raise StopIteration"}, TENSORS)
    coded = decode(
        obedient, {"behave": "say(seq=seq, refused='not mine', code='bad-shape'); raise StopIteration"}, TENSORS
    )
    assert isinstance(plain, Refused)
    assert not hasattr(plain.error, "code")
    assert isinstance(coded, Refused)
    assert isinstance(coded.error, CommandRefused)
    assert coded.error.code == "bad-shape"
    assert isinstance(decode(obedient, {"behave": "sys.exit(1)"}, TENSORS), Crashed)


INFO = "import json\nprint(json.dumps({'seq': 0, %s}), flush=True)\ninput(); input()"


@pytest.mark.parametrize(
    "command",
    [
        "",
        "'unbalanced",
        "./no-such-program",
        "no-such-program-anywhere",
        str(ROOT / "README.md"),
        program("raise SystemExit(1)"),
        program("print('Welcome to my decoder!')"),
        program(INFO % "'refused': 'no'"),
        program(INFO % "'error': 'no'"),
        program(INFO % "'ok': {}"),
        program(INFO % "'ok': {'protocol': 2, 'name': 'n', 'version': '1', 'formats': []}"),
        program(INFO % "'ok': {'protocol': 1, 'name': 'n', 'version': 1, 'formats': []}"),
        program(INFO % "'ok': {'protocol': 1, 'name': 'n', 'version': '1'}"),
        program(INFO % "'ok': {'protocol': 1, 'name': 'n', 'version': '1', 'formats': 'gptq'}"),
        program(INFO % "'ok': {'protocol': 1, 'name': 'n', 'version': '1', 'formats': [], 'loads': 'yes'}"),
    ],
)
def test_what_cannot_be_started_is_no_subject(command: str) -> None:
    with pytest.raises(CommandError):
        CommandSubject(command)


def test_the_smallest_info_is_enough() -> None:
    found = CommandSubject(program(INFO % "'ok': {'protocol': 1, 'name': 'n', 'version': '1', 'formats': []}"))
    assert (found.name, found.info()) == ("n", {"version": "1", "formats": []})


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_none(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLX_QUANT_COMMAND_TIMEOUT", seconds)
    with pytest.raises(CommandError, match="MLX_QUANT_COMMAND_TIMEOUT"):
        CommandSubject(program(OBEDIENT))


def test_three_failed_starts_are_enough(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    starts.touch()
    count = f"n = len(open({str(starts)!r}).read())\nopen({str(starts)!r}, 'a').write('x')\n"
    # The first start works, the second and third do not, the fourth does, the next ones do not.
    subject = CommandSubject(program("import sys\n" + count + "if n not in (0, 3): sys.exit(9)\n" + OBEDIENT))
    with pytest.raises(CommandCrashed, match="died"):
        told(subject, "sys.exit(1)")
    for _ in range(2):
        with pytest.raises(CommandCrashed, match=r"cannot be started: .* died \(status 9\)"):
            told(subject)
    assert not difference(told(subject), TENSORS["scales"])
    with pytest.raises(CommandCrashed, match="died"):
        told(subject, "sys.exit(1)")
    for _ in range(3):
        with pytest.raises(CommandCrashed, match="cannot be started"):
            told(subject)
    with pytest.raises(CommandError, match="3 times in a row"):
        told(subject)
    assert starts.read_text() == "x" * 7


def test_it_is_found_again_from_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "obedient").write_text(f"#!{sys.executable}\n{OBEDIENT}")
    (tmp_path / "obedient").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    subject = CommandSubject("./obedient --flag")
    monkeypatch.chdir(ROOT)
    with pytest.raises(CommandCrashed, match="died"):
        told(subject, "sys.exit(0)")
    told(subject, "assert sys.argv[1:] == ['--flag'] and os.getcwd() == " + repr(os.path.realpath(tmp_path)))


def test_the_question_is_all_that_is_sent(obedient: CommandSubject, tmp_path: Path) -> None:
    log = tmp_path / "log"
    record = f"open({str(log)!r}, 'w').write(line + open(request['tensors'], 'rb').read().decode('latin1'))"
    vector = next(vector for vector in vectors() if "g_idx" in vector.tensors)
    assert isinstance(decode(obedient, vector.config | {"behave": record}, vector.tensors, "float32"), Array | Crashed)
    line, _, file = log.read_text().partition("\n")
    request = json.loads(line)
    folder = Path(request["tensors"]).parent
    assert request.keys() == {"seq", "do", "config", "tensors", "dtype", "output"}
    assert (request["do"], request["dtype"]) == ("dequantize", "float32")
    assert Path(request["output"]).parent == folder
    assert json.loads(file[8 : file.index("}}") + 2]).keys() == vector.tensors.keys()
    assert vector.id not in line + file
    assert not list(folder.iterdir())


def gone(pid: int) -> bool:
    """Ended and waited for: a zombie could still be signalled."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def pid_of(subject: CommandSubject, log: Path) -> int:
    told(subject, f"open({str(log)!r}, 'w').write(str(os.getpid()))")
    return int(log.read_text())


@pytest.mark.parametrize("polite", [True, False])
def test_the_program_ends_with_its_subject(polite: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.subjects.program.SECONDS_TO_STOP", 0.3)
    subject = CommandSubject(program(OBEDIENT + ("" if polite else "\ntime.sleep(60)")))
    pid, folder = pid_of(subject, tmp_path / "pid"), subject._program._folder
    assert not gone(pid)
    assert folder.is_dir()
    del subject
    gc.collect()
    assert gone(pid)
    assert not folder.exists()


def test_what_the_program_started_ends_too(obedient: CommandSubject, tmp_path: Path) -> None:
    limited(obedient, 0.5)
    left = tmp_path / "left"
    child = f"sleep 1; touch {shlex.quote(str(left))}"
    # The child keeps the output open, so that the program seems to be silent, not dead.
    with pytest.raises(CommandCrashed, match="was silent"):
        told(obedient, f"import subprocess; subprocess.Popen(['sh', '-c', {child!r}]); sys.exit(1)")
    time.sleep(1.2)
    assert not left.exists()


SUITE = """
import sys, time
from conformance.subjects.program import CommandSubject
subject = CommandSubject(sys.argv[1])
print(subject._program._process.pid, subject._program._folder, flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["pass", "time.sleep(60)", "raise RuntimeError", "sys.exit(1)"])
def test_no_program_outlives_the_suite(end: str) -> None:
    suite = subprocess.Popen(
        [sys.executable, "-c", SUITE.format(end=end), program(OBEDIENT)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert suite.stdout
    with suite:
        pid, folder = suite.stdout.readline().split()
        if "sleep" in end:
            suite.send_signal(signal.SIGINT)
        suite.wait(20)
    assert gone(int(pid))
    assert not Path(folder).exists()


# ---- conformance.serve: a Python subject behind the same door ----

SERVE = [sys.executable, "-m", "conformance.serve"]


@pytest.fixture(scope="module")
def served() -> CommandSubject:
    return CommandSubject(shlex.join([*SERVE, ORACLE]))


def test_a_served_subject_says_what_it_says(served: CommandSubject, oracle: Any) -> None:
    assert served.name == oracle.name
    assert served.info() == oracle.info()
    assert not hasattr(served, "to_affine")


@pytest.mark.parametrize("level", ["upstream vectors", "refusals"])
def test_a_served_subject_does_what_it_does(level: str, served: CommandSubject, oracle: Any) -> None:
    assert not complaints(served, oracle, list(QUESTIONS[level][0]()))


def test_a_served_subject_loads(served: CommandSubject, oracle: Any) -> None:
    folder = FIXTURES / "awq_gemm/models/llama-awq-g32"
    expected, got = load_weights(oracle, folder), load_weights(served, folder)
    assert got.keys() == expected.keys()
    assert not [name for name in expected if difference(got[name], expected[name])]
    with pytest.raises(CommandRefused, match=r"config\.json is missing"):
        served.load(ROOT)


SCRIPTED = """
from types import SimpleNamespace
import numpy as np


class Refused(Exception):
    code = "bad-shape"


class _Subject:
    name, framework, refusals = "scripted", "numpy", (Refused,)

    def info(self):
        return {"version": "1", "formats": [], "affine": {"formats": ["gptq"], "biases": "exact"}}

    def dequantize(self, quantization_config, tensors, *, dtype=None):
        print("talking to myself")
        if "refuse" in quantization_config:
            raise Refused("no")
        return tensors["scales"] / quantization_config["divisor"]

    def to_affine(self, quantization_config, tensors):
        arrays = {name: np.full((2, 4), value, dtype) for value, (name, dtype) in enumerate(ARRAYS)}
        arrays |= {"permutation": np.arange(32, dtype=np.int32)} if quantization_config["permuted"] else {}
        return SimpleNamespace(group_size=32, bits=4, **arrays)

    def load(self, checkpoint_dir):
        return lambda tokens: np.stack([tokens, -tokens], axis=-1).astype(np.float32)


ARRAYS = [("weight", np.uint32), ("scales", np.float16), ("biases", np.float32)]
SUBJECT = _Subject()
"""


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandSubject:
    (tmp_path / "scripted.py").write_text(SCRIPTED)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path)]))
    return CommandSubject(shlex.join([*SERVE, "py:scripted:SUBJECT"]))


def test_what_a_served_subject_prints_is_no_answer(scripted: CommandSubject) -> None:
    got = decode(scripted, {"divisor": np.float16(1).item()}, TENSORS)
    assert isinstance(got, Array), got
    assert not difference(got, TENSORS["scales"])


def test_how_a_served_subject_declines(scripted: CommandSubject) -> None:
    refused, crashed = decode(scripted, {"refuse": True}, TENSORS), decode(scripted, {}, TENSORS)
    assert isinstance(refused, Refused)
    assert getattr(refused.error, "code", "") == "bad-shape"
    assert isinstance(crashed, Crashed)
    assert "KeyError('divisor')" in str(crashed.error)


def test_a_served_model_runs_and_is_lost_with_its_process(scripted: CommandSubject) -> None:
    with pytest.raises(CommandCrashed, match="no model is loaded"):
        scripted._program._run(Array.of(np.array([[1]], np.int32)))
    model = load(scripted, ROOT)
    assert isinstance(model, Model)
    assert model([3, 4]).tolist() == [[3.0, -3.0], [4.0, -4.0]]


@pytest.mark.parametrize("permuted", [True, False])
def test_an_affine_form_crosses(permuted: bool, scripted: CommandSubject) -> None:
    form = scripted.to_affine({"permuted": permuted}, TENSORS)
    assert (form["group_size"], form["bits"]) == (32, 4)
    assert [form[name].dtype for name in ("weight", "scales", "biases")] == ["uint32", "float16", "float32"]
    assert form["biases"].float64().tolist() == [[2.0] * 4] * 2
    assert (form["permutation"] is not None) is permuted


def test_a_served_subject_has_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scripted.py").write_text(SCRIPTED + "del _Subject.dequantize, _Subject.load\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path)]))
    subject = CommandSubject(shlex.join([*SERVE, "py:scripted:SUBJECT"]))
    assert [hasattr(subject, name) for name in ("dequantize", "load", "to_affine")] == [False, False, True]


def test_a_subject_that_is_not_there_cannot_be_served() -> None:
    with pytest.raises(CommandError, match="No module named"):
        CommandSubject(shlex.join([*SERVE, "py:no.such.module:SUBJECT"]))


# ---- a Python subject cannot end the suite ----

ENDING = """
import os, sys
from conformance.formats.registry import parts

HOW = os.environ["HOW"]
if HOW == "exits when imported": sys.exit(0)
if HOW == "ends when imported": os._exit(0)


class _Subject:
    name, framework, refusals, asked = "ending", "array", (), 0

    def info(self):
        if HOW == "exits in info": sys.exit(0)
        if HOW == "ends in info": os._exit(0)
        return {"version": "1", "formats": ["gptq", "awq"]}

    def dequantize(self, quantization_config, tensors, *, dtype=None):
        _Subject.asked += 1
        if _Subject.asked > 4:
            print("asked", _Subject.asked, file=sys.stderr, flush=True)
            if HOW == "exits in mid-run": sys.exit(0)
            if HOW == "ends in mid-run": os._exit(0)
            if HOW == "raises GeneratorExit": raise GeneratorExit
        return parts(quantization_config, tensors).dense(dtype)


SUBJECT = _Subject()
"""


def ending(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "ending.py").write_text(ENDING)
    monkeypatch.setenv("HOW", how)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "py:ending:SUBJECT"


@pytest.mark.parametrize("how", ["exits when imported", "ends when imported", "exits in info", "ends in info"])
def test_what_ends_before_it_is_asked_is_no_subject(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from conformance.cli.main import app

    name = ending(how, tmp_path, monkeypatch)
    with pytest.raises(SubjectError, match="cannot be started"):
        resolve_apart(name)
    found = CliRunner().invoke(app, ["run", f"--subject={name}", f"--report={tmp_path / 'report.jsonl'}"])
    assert found.exit_code == 2
    assert not (tmp_path / "report.jsonl").exists()


@pytest.mark.parametrize("how", ["exits in mid-run", "ends in mid-run", "raises GeneratorExit"])
def test_what_ends_in_mid_run_fails_that_case_only(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from conformance.cli.main import app
    from conformance.run import record as records

    name, file = ending(how, tmp_path, monkeypatch), tmp_path / "report.jsonl"
    few = [case.id for case in suite.cases() if (case.level, case.format) == ("vectors", "awq")][:22]
    arguments = ["run", f"--subject={name}", f"--report={file}", *(f"--only={id}" for id in few)]
    assert CliRunner().invoke(app, arguments).exit_code == 1
    report = records.read(file)
    assert len(report.records) == 22
    crashed = [record for record in report.records if record.verdict == "error"]
    # The first two questions are those of the smoke test; a process that is started again is asked four once more.
    apart = 1 if how == "exits in mid-run" else 5
    assert [report.records.index(record) for record in crashed] == list(range(2, 22, apart))
    if apart > 1:
        assert all("asked 5" in record.why for record in crashed)
    assert report.counts == {"pass": 22 - len(crashed), "error": len(crashed)}


def test_what_was_said_at_another_question_is_not_quoted(obedient: CommandSubject) -> None:
    told(obedient, "sys.stderr.write('of the first'); sys.stderr.flush()")
    with pytest.raises(CommandCrashed) as crash:
        told(obedient, "sys.stderr.write('of the second'); sys.exit(3)")
    assert "of the second" in str(crash.value)
    assert "of the first" not in str(crash.value)


def test_what_a_served_subject_leaves_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files of the other process must lie where the judge of folders looks."""
    from conformance.subjects.served import served

    leaving = SCRIPTED.replace(
        "    def load(self, checkpoint_dir):\n",
        "    def load(self, checkpoint_dir):\n        import tempfile; tempfile.mkdtemp(prefix='left')\n",
    )
    (tmp_path / "scripted.py").write_text(leaving)
    monkeypatch.syspath_prepend(str(tmp_path))
    subject, scratch = served("py:scripted:SUBJECT"), tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    subject.load(ROOT)
    assert [folder.name[:4] for folder in scratch.iterdir()] == ["left"]


def test_numpy_s_bfloat16_comes_back_as_it_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from conformance.bits.frameworks import from_framework, to_framework

    given = Array("bfloat16", np.array([[0x3F80, 0x8000]], np.uint16))
    assert not difference(from_framework(to_framework(given, "numpy"), "numpy"), given)
    with pytest.raises(TypeError, match="an array of float64"):
        from_framework(np.zeros(3), "numpy")
    written = to_framework(given, "numpy")
    written[:] = 0
    assert given.bits[0, 0] == 0x3F80


def test_serving_needs_nothing_of_the_suite() -> None:
    look = "import conformance.serve, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    found = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(found.stdout.split())
    assert {"numpy", "safetensors"} <= loaded
    assert not loaded & {"hypothesis", "pytest", "torch", "mlx", "transformers", "reference", "mlx_quant"}
