"""Subjects before the suite: claims, the smoke test, verdicts, exit statuses, reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance import suite
from conformance.bits.array import Array
from conformance.cases.question import flags_of
from conformance.cases.tiers import TIERS
from conformance.cases.verdict import asked_of
from conformance.cli.main import main
from conformance.formats.registry import integers, known
from conformance.levels import catalogue
from conformance.mutants import MUTANTS, Bug
from conformance.mutants.wrap import Integer
from conformance.run import judge as judging
from conformance.run import record as records
from conformance.run.claims import Miswired, examine
from conformance.run.coverage import Coverage, claimed, coverage
from conformance.subjects.ask import single_threaded
from conformance.subjects.resolve import CORE, ORACLE, resolve
from conformance.subjects.subject import SubjectError

QUESTIONS = {question.id: question for question in suite.questions()}


@pytest.fixture(scope="module")
def oracle() -> Any:
    single_threaded()
    return resolve(ORACLE)


class Scripted:
    """The oracle, with one method replaced."""

    framework = "array"

    def __init__(self, oracle: Any, **replaced: Any) -> None:
        self.name, self.refusals, self._oracle = "scripted", oracle.refusals, oracle
        self._said: dict[str, Any] = {"formats": ["gptq", "awq"]}
        for name, value in replaced.items():
            setattr(self, name, value)

    def info(self) -> dict[str, Any]:
        return self._said

    def dequantize(self, config: Any, tensors: dict[str, Array], *, dtype: str | None = None) -> Array:
        from conformance.cases.verdict import asked_of

        return asked_of(self._oracle, config, tensors, dtype)


def examined(subject: Any) -> Any:
    return examine(subject, QUESTIONS)


def _raising(error: Exception) -> Callable[..., Any]:
    def method(*_: Any, **__: Any) -> Any:
        raise error

    return method


def test_ids_are_unique_and_the_floors_are_exact() -> None:
    cases = suite.cases()
    assert len({case.id for case in cases}) == len(cases)
    counted: dict[tuple[str, str], int] = {}
    for case in cases:
        assert case.id.startswith(case.level + "/")
        counted[case.level, case.claim] = counted.get((case.level, case.claim), 0) + 1
    assert counted == catalogue.FLOORS
    assert {level for level, _ in counted} == catalogue.TITLES.keys()


def test_where_upstream_s_readers_both_read_a_vector_they_agree() -> None:
    from conformance.corpus.fixtures import vectors
    from conformance.levels.policies import disputed

    for vector in vectors():
        if not disputed(vector):
            assert len({(e.dtype, e.bits.tobytes()) for e in vector.expected.values()}) == 1, vector.id


def test_the_grid_is_the_contract_whoever_unpacks_it(oracle: Any) -> None:
    """Its expectations come from packing; the oracle must come to the same by unpacking."""
    for question in QUESTIONS.values():
        if question.level == "synthetic":
            assert not question.judge(oracle, oracle).complaint, question.id


def test_the_grid_has_every_flag_a_loader_may_exclude() -> None:
    seen = {flag for question in QUESTIONS.values() for flag in question.flags}
    sizes = {f"group-size-{size}" for size in (-1, 32, 64, 128, "other")}
    scales = {f"scales-{dtype}" for dtype in ("float16", "bfloat16", "float32")}
    assert sizes | scales | {"act-order", "arbitrary-groups", "no-g_idx", "sequential", "ragged", "out-dtype"} <= seen
    assert {"symmetric", "asymmetric", "bias", "legacy-config", "zero-point-0", "policy", "real"} <= seen


def test_flags_are_seen_in_the_data() -> None:
    def flags(id: str) -> frozenset[str]:
        question = QUESTIONS[id]
        return flags_of(question.config, question.tensors, question.dtype)

    assert "act-order" in flags("synthetic/gptq-g32-act-order-asym-float16")
    assert "sequential" in flags("synthetic/gptq-g32-sequential-asym-float16")
    assert "arbitrary-groups" in flags("synthetic/gptq-g32-arbitrary-asym-float16")
    assert {"ragged", "group-size-other"} <= flags("synthetic/gptq-ragged-sequential")
    assert "out-dtype" in flags("synthetic/awq-float16-to-float32")


@pytest.mark.parametrize(
    ("replaced", "says"),
    [
        ({"dequantize": _raising(IndexError("out of bounds"))}, "crashes on"),
        ({"info": lambda: ["gptq"]}, "not a dict"),
        ({"info": _raising(RuntimeError("no version"))}, "info() fails"),
        ({"_said": {"formats": ["exl3"]}}, "the suite has cases for"),
        ({"_said": {"formats": "gptq"}}, "no list of names"),
        ({"to_affine": _raising(RuntimeError())}, "to_affine fails"),
        (
            {"to_affine": _raising(RuntimeError()), "_said": {"formats": ["awq"], "affine": []}},
            "not a dict with formats",
        ),
        ({"load": _raising(OSError("no such file"))}, "load fails"),
        ({"load": lambda folder: {}}, "weights go by their names"),
        ({"load": lambda folder: 3}, "neither a mapping"),
        ({"load": lambda folder: lambda ids: Array.of(np.zeros((1, 2, 2), np.float32))}, "logits"),
    ],
)
def test_a_mis_wired_adapter_is_told(replaced: dict[str, Any], says: str, oracle: Any) -> None:
    with pytest.raises(Miswired, match=says.replace("(", r"\(").replace(")", r"\)")):
        examined(Scripted(oracle, **replaced))


def test_a_transposed_answer_is_mis_wired_and_a_wrong_one_is_not(oracle: Any) -> None:
    plain = Scripted(oracle)

    def transposed(config: Any, tensors: Any, *, dtype: Any = None) -> Array:
        found = plain.dequantize(config, tensors, dtype=dtype)
        return Array(found.dtype, np.ascontiguousarray(found.bits.T))

    def wrong(config: Any, tensors: Any, *, dtype: Any = None) -> Array:
        found = plain.dequantize(config, tensors, dtype=dtype)
        return Array(found.dtype, found.bits + np.array(1, found.bits.dtype))

    with pytest.raises(Miswired, match="in, out"):
        examined(Scripted(oracle, dequantize=transposed))
    examined(Scripted(oracle, dequantize=wrong))
    report = judging.judge(Scripted(oracle, dequantize=wrong), oracle, name="x", only=["vectors/awq-g*"])
    assert report.counts == {"fail": sum(case.id.startswith("vectors/awq-g") for case in suite.cases())}
    assert judging.status(report) == 1
    assert report.records[0].ulps == {"1": report.records[0].wrong}


def test_what_is_claimed_and_refused_is_a_failure_and_what_is_not_is_refused(oracle: Any) -> None:
    sound = Scripted(oracle)

    def no_act_order(config: Any, tensors: Any, *, dtype: Any = None) -> Array:
        if config.get("desc_act"):
            raise oracle.refusals[0]("no act-order")
        return sound.dequantize(config, tensors, dtype=dtype)

    only = ["synthetic/gptq-g32-*"]
    for excludes, verdict, status in (
        ([], "fail", 1),
        (["act-order", "arbitrary-groups"], "refused", 0),
    ):
        said = {"formats": ["gptq", "awq"], "excludes": excludes}
        subject = Scripted(oracle, dequantize=no_act_order, _said=said)
        report = judging.judge(subject, oracle, name="x", only=only)
        assert report.counts == {"pass": 12, verdict: 12}
        assert judging.status(report) == status


def test_only_who_claims_a_format_owes_the_code_of_a_refusal(oracle: Any) -> None:
    class Foreign(RuntimeError):
        code = "unsupported-method"

    sound = Scripted(oracle)

    def no_fp8(config: Any, tensors: Any, *, dtype: Any = None) -> Array:
        if config.get("quant_method") == "fp8":
            raise Foreign("fp8 is not decoded")
        return sound.dequantize(config, tensors, dtype=dtype)

    only = ["refusals/fp8-scale-nan", "refusals/method-fp8"]
    for formats, verdict, status in ((["gptq", "fp8"], "fail", 1), (["gptq"], "refused", 0)):
        subject = Scripted(oracle, dequantize=no_fp8, _said={"formats": formats})
        subject.refusals = (*oracle.refusals, Foreign)
        report = judging.judge(subject, oracle, name="x", only=only)
        assert report.counts == {verdict: 2}
        assert judging.status(report) == status


def test_a_crash_is_an_error_only_of_what_was_claimed(oracle: Any) -> None:
    sound = Scripted(oracle)

    def falls_over(config: Any, tensors: Any, *, dtype: Any = None) -> Array:
        # The smoke test has larger groups.
        if config.get("quant_method") == "gptq" and config["group_size"] == 32:
            raise KeyError("qzeros")
        return sound.dequantize(config, tensors, dtype=dtype)

    subject = Scripted(oracle, dequantize=falls_over, _said={"formats": ["awq"]})
    only = ["synthetic/gptq-g32-*"]
    assert judging.judge(subject, oracle, name="x", only=only).counts.keys() == {"refused"}
    claimed = Scripted(oracle, dequantize=falls_over, _said={"formats": ["awq", "gptq"]})
    assert judging.judge(claimed, oracle, name="x", only=only).counts.keys() == {"error"}


def test_a_refusal_that_is_due_may_be_an_answer_that_nobody_could_mistake(oracle: Any) -> None:
    sound = Scripted(oracle)

    def reads_exllama(config: Any, tensors: Any, *, dtype: Any = None) -> Array:
        return sound.dequantize(config | {"version": "gemm"}, tensors, dtype=dtype)

    def adds_one(config: Any, tensors: Any, *, dtype: Any = None) -> Array:
        words = tensors["qzeros"].bits.view(np.uint32)
        fields = (words[..., None] >> np.arange(0, 32, 4, dtype=np.uint32)) & 15
        stored = (((fields + 1) & 15) << np.arange(0, 32, 4, dtype=np.uint32)).sum(-1, dtype=np.uint32)
        return reads_exllama(config, tensors | {"qzeros": Array.of(stored.view(np.int32))}, dtype=dtype)

    for method, verdict in ((reads_exllama, "pass"), (adds_one, "fail")):
        subject = Scripted(oracle, dequantize=method)
        report = judging.judge(subject, oracle, name="x", only=["refusals/awq-exllama"])
        assert report.counts == {verdict: 1}


def _affine(parts: Integer, rule: str = "nearest") -> dict[str, Array]:
    from conformance.bits.fields import words
    from conformance.bits.rounding import nearest

    s, z = np.repeat(parts.s.T, 1, axis=1), parts.z.T
    dtype = "float32" if rule == "exact" else parts.dtype
    biases = nearest(-z * s, dtype)
    if rule == "wrong":
        biases = nearest(-(z + 1) * s, parts.dtype)
    return {
        "weight": Array("uint32", words(parts.q).view(np.uint32)),
        "scales": nearest(s, dtype),
        "biases": biases,
    }


@pytest.mark.parametrize(("rule", "verdict"), [("nearest", "pass"), ("wrong", "fail"), ("exact", "pass")])
def test_a_triple_is_held_to_its_codes_scales_and_biases(rule: str, verdict: str, oracle: Any) -> None:
    """Whatever it says of its rounding: what is as near as its dtype allows passes, and how much differs is said."""

    def to_affine(config: Any, tensors: Any) -> dict[str, Any]:
        found = integers(config, tensors)
        return _affine(found, rule) | {"group_size": known(config).group_size(config, found.q.shape[1]), "bits": 4}

    said = {"formats": ["awq"], "affine": {"formats": ["awq"], "biases": rule}}
    subject = Scripted(oracle, to_affine=to_affine, _said=said)
    report = judging.judge(subject, oracle, name="x", only=["affine/awq-g32-float16", "affine/awq-g128-bfloat16"])
    assert report.counts == {verdict: 2}
    if rule == "exact":
        assert [record.unequal for record in report.records] == [0, 0]
    else:
        assert all("differ from the exact ones" in record.note and record.unequal for record in report.records)


def test_of_two_biases_that_are_equally_near_either_will_do() -> None:
    from conformance.levels.affine import as_near_as_can_be

    # 2049 lies half way between the float16 values 2048 and 2050; 100,000 is beyond the largest.
    got, exact = np.array([2048.0, 2050.0, 2046.0, np.inf, 65504.0]), np.array([2049.0, 2049.0, 2049.0, 1e5, 1e5])
    assert as_near_as_can_be(got, exact, "float16").tolist() == [True, True, False, True, False]


def test_every_case_has_a_tier_and_the_tiers_are_what_they_say() -> None:
    cases = suite.cases()
    assert {case.tier for case in cases} == set(TIERS)
    for case in cases:
        assert (case.tier == "unsound") <= (case.declined or case.claim == "checkpoint"), case.id
        assert not (case.declined and case.tier == "sound"), case.id
        # A plain module has no zero point that readers part on.
        plain = case.tier == "sound" and case.claim == "dense" and case.format == "gptq"
        if plain and case.question is not None and "gptq_v2" not in case.flags:
            assert (integers(case.question.config, case.question.tensors).z != 0).all(), case.id


def test_only_what_is_required_decides(oracle: Any) -> None:
    """A correct decoder that checks nothing, and one with another policy, can be told so."""
    sound = Scripted(oracle)

    def careless(config: Any, tensors: Any, *, dtype: Any = None) -> Array:
        try:
            return sound.dequantize(config, tensors, dtype=dtype)
        except RuntimeError:
            return Array.of(np.zeros((2, 2), np.float32))

    subject, only = Scripted(oracle, dequantize=careless), ["vectors/awq-*", "refusals/*"]
    for require, status in ((TIERS, 1), (["sound"], 0), (["policy"], 1), (["unsound"], 1)):
        report = judging.judge(subject, oracle, name="x", only=only, require=require)
        assert judging.status(report) == status
        assert report.counts["fail"] > 50


def test_a_verdict_says_how_much_it_covers(oracle: Any) -> None:
    sound = Scripted(oracle)

    def one_format(config: Any, tensors: Any, *, dtype: Any = None) -> Array:
        if config.get("quant_method") != "awq":
            raise oracle.refusals[0]("awq only")
        return sound.dequantize(config, tensors, dtype=dtype)

    said = {"formats": ["awq"]}
    report = judging.judge(Scripted(oracle, dequantize=one_format, _said=said), oracle, name="x", only=["vectors/*"])
    answered = [
        case
        for case in suite.cases()
        if case.level == "vectors" and case.question and case.question.config.get("quant_method") == "awq"
    ]
    there = [case for case in suite.cases() if case.claim != "affine"]
    assert coverage(report) == Coverage(len(answered), len(there))
    own = coverage(report, claimed(report))
    assert own == Coverage(*(sum(case.format == "awq" for case in cases) for cases in (answered, there)))


# Where single modules are asked, those that lie in files first: the others are made before they are asked.
MET = ("vectors", "policies", "refusals", "synthetic", "state")


@pytest.mark.parametrize("bug", list(Bug))
def test_a_wrong_subject_of_each_bug_type_exits_1(bug: Bug, oracle: Any) -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.bug == bug)
    subject = resolve(f"mutant:{mutant.id}")
    levels = [level for level in MET if level in mutant.killed_by][:1] or MET
    levels = ["checkpoints"] if mutant.load else levels
    patterns = [f"{level}/{word}" for level in levels for word in (f"*{mutant.formats[0]}[!_]*", f"kept-{mutant.id}")]
    report = judging.judge(subject, oracle, name=mutant.id, only=patterns)
    assert judging.status(report) == 1, mutant


def test_exit_statuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    (tmp_path / "crashing.py").write_text(
        "class S:\n    name, framework, refusals = 'crashing', 'numpy', (KeyError,)\n"
        "    def info(self): return {'formats': ['gptq']}\n"
        "    def dequantize(self, config, tensors, *, dtype=None): raise IndexError('index 8 is out of bounds')\n"
        "SUBJECT = S()\n"
    )
    report = tmp_path / "report.jsonl"
    # That they are those of a process, test_first_verdict.py sees.
    assert main(["run", f"--subject={CORE}", f"--report={report}", "--only=vectors/awq-*"]) == 0
    assert records.read(report).counts["fail"] == 0
    assert main(["run", "--subject=mutant:ZP-03", "--only=policies/gptq-*"]) == 1
    capsys.readouterr()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["run", "--subject=py:crashing:SUBJECT"]) == 2
    assert "mis-wired" in capsys.readouterr().err
    assert main(["run", "--subject=mutant:no-such"]) == 2
    assert main(["run", "--only=no/such/case"]) == 3


def test_fewer_cases_than_the_floor_exit_3(oracle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one_short = [case for case in suite.cases() if case.level == "vectors" and case.id != "vectors/awq-g32"]
    monkeypatch.setattr(judging, "cases", lambda exhaustive: one_short)
    report = judging.judge(Scripted(oracle), oracle, name="x")
    due = catalogue.FLOORS["vectors", "dense"]
    assert f"vectors: {due - 1} cases, {due} expected" in report.below_floor
    assert judging.status(report) == 3


def test_an_oracle_is_asked_once_for_what_it_has_answered(oracle: Any) -> None:
    class Counting:
        framework, refusals, asked = oracle.framework, oracle.refusals, 0

        def dequantize(self, *given: Any, **more: Any) -> Any:
            self.asked += 1
            return oracle.dequantize(*given, **more)

    counting, module = Counting(), next(own for own in suite.questions() if own.format == "gptq" and not own.code)
    config, tensors = module.config, module.tensors
    found = asked_of(counting, config, tensors)
    again = asked_of(counting, dict(config), {name: Array(own.dtype, own.bits.copy()) for name, own in tensors.items()})
    assert found is again
    assert counting.asked == 1
    with pytest.raises(ValueError, match="read-only"):
        found.bits[0, 0] = 1
    assert asked_of(counting, config, tensors, "float32").dtype == "float32"
    asked_of(counting, config | {"desc_act": not config["desc_act"]}, tensors)
    scales = tensors["scales"].bits.copy()
    scales[0, 0] ^= 1
    asked_of(counting, config, dict(tensors) | {"scales": Array(tensors["scales"].dtype, scales)})
    asked_of(Counting(), config, tensors)
    assert counting.asked == 4


def test_a_subject_must_be_one() -> None:
    for name in ("py:json:loads", "py:no.such:thing", "never-installed", "mutant:XX-99"):
        with pytest.raises(SubjectError):
            resolve(name)


def test_a_report_is_read_back_and_a_cut_one_is_not(oracle: Any, tmp_path: Path) -> None:
    report = judging.judge(resolve("mutant:ZP-03"), oracle, name="mutant:ZP-03", only=["policies/*"])
    file = tmp_path / "report.jsonl"
    report.write(file)
    assert records.read(file) == report
    lines = file.read_text().splitlines()
    for cut in (lines[:-1], lines[1:], [*lines[:2], lines[-1]], [], ["{}"]):
        file.write_text("\n".join(cut))
        with pytest.raises(records.ReportError):
            records.read(file)
    assert json.loads(lines[0])["suite"]
