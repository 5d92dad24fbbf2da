"""``survey``: what is said of every kind of repo, what it costs, and that nothing is lost when somebody dies."""

from __future__ import annotations

import functools
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import psutil
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster
from typer.testing import CliRunner

from conformance.cli.main import app
from conformance.run import verify
from conformance.run.record import Record, Report
from conformance.subjects.resolve import ORACLE, resolve
from conformance.survey import asking, spread, table
from conformance.survey.journal import Journal
from conformance.survey.listing import Repo, SurveyError, repos
from conformance.survey.verdicts import Reports, silently_wrong
from mlx_quant import MalformedCheckpoint
from mlx_quant.checkpoint.survey import survey
from mlx_quant.files import patience
from mlx_quant.files.headers import Bounds, HubHeaders
from tests.checkpoint.hub_server import Hub
from tests.conftest import environment
from tests.harness.many_repos import KINDS, configured, fill, header, limited, real
from tests.harness.pieces import deadly

ROOT = Path(__file__).parents[2]
CORE = "py:mlx_quant.subject:SUBJECT"
ABOUT = {"suite": "2026.1", "subject": CORE, "version": "1"}
GPTQ = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True}}


@pytest.fixture(scope="module", autouse=True)
def _reports_read_once() -> Iterator[None]:
    """Those of the checkout have half a million records."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reports, "read", functools.cache(Reports.read))
        yield


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A Dask cluster whose workers are threads of this process, so that they know the same Hub."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=2,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs="CRITICAL",
    ) as cluster:
        yield cluster.scheduler_address


def due(row: dict[str, Any], kind: str) -> bool:
    """Whether a row of the table says what it must of a kind of repo."""
    known = KINDS[kind]
    told = {name: row[name] for name in known.facts}
    return (row["outcome"], row["code"] or "", told) == (known.outcome, known.code, known.facts)


def rows(file: Path) -> list[dict[str, Any]]:
    return pq.read_table(file).to_pylist()


def journalled(file: Path) -> list[dict[str, Any]]:
    """Whole lines but the first."""
    lines = file.read_bytes().split(b"\n")[1:-1] if file.exists() else []
    return [json.loads(line) for line in lines]


def test_every_kind_of_repo_has_the_row_that_is_due(hub: Hub, scheduler: str, tmp_path: Path) -> None:
    kinds = fill(hub, len(KINDS))
    (tmp_path / "list").write_text("# all kinds\n" + "".join(f"{repo}  \n\n{repo}\n" for repo in kinds))
    out = tmp_path / "t.parquet"
    done = CliRunner().invoke(app, ["survey", str(tmp_path / "list"), "-o", str(out), "--scheduler", scheduler])
    assert done.exit_code == 0, done.output
    found = rows(out)
    assert [row["repo"] for row in found] == list(kinds)
    assert [row["repo"] for row in found if not due(row, kinds[row["repo"]])] == []
    # JSON and headers: two requests for the headers of two shards, each for the first 100,000 bytes.
    small = [entry for entry in hub.log if entry.path.endswith(".safetensors") and entry.status == 206]
    assert small
    assert all(entry.sent <= 100_000 for entry in small)
    assert not any(entry.path.endswith((".gguf", ".bin")) for entry in hub.log)
    assert all(row["received"] < 300_000 for row in found if row["received"] is not None)
    by_kind = {kinds[row["repo"]]: row for row in found}
    assert by_kind["awq"]["commit"] == hub.repos[by_kind["awq"]["repo"]].refs["main"]
    assert by_kind["awq-sharded"]["weight_bytes"] == sum(
        len(data) for name, data in real("qwen2-awq-g128")().items() if name.endswith(".safetensors")
    )
    # What the README's table says of these loaders and version 2 of GPTQ, and of one that refuses it.
    read = {(said["loader"].split()[0], said["gives"]): said["word"] for said in by_kind["gptq-v2"]["loaders"]}
    assert read["auto-gptq", "weights"] == read["onnxruntime-genai", "weights"] == "WRONG"
    assert read["mlx_quant", "weights"] == read["llama.cpp", "weights"] == "right"
    assert read["unsloth-zoo", "weights"] == "not read"
    assert {name.split()[0] for name in by_kind["gptq-v2"]["misread_in_silence_by"]} == {
        "auto-gptq",
        "onnxruntime-genai",
    }
    assert by_kind["bnb"]["misread_in_silence_by"] is None
    asked = len(hub.log)
    again = CliRunner().invoke(app, ["survey", str(tmp_path / "list"), "-o", str(out), "--scheduler", scheduler])
    assert again.exit_code == 0
    assert "0 of them asked now" in again.output
    assert len(hub.log) == asked
    assert rows(out) == found


def case(verdict: str, *flags: str, level: str = "synthetic", **more: Any) -> Record:
    return Record(f"{level}/x", level, more.pop("claim", "dense"), sorted(flags), verdict, **more)


def words(
    *cases: Record, flags: str = "gptq bits-4 symmetric group-size-128 scales-float16"
) -> tuple[str, int, int, bool]:
    """What is said of modules with these flags by a loader of which these cases are known."""
    report = Report({"subject": "loader", "info": {"version": "1"}}, list(cases))
    (said,) = Reports([report]).of([{"format": "gptq", "flags": flags.split(), "modules": 1}])
    assert (said.loader, said.gives) == ("loader 1", "weights")
    return said.word, said.cases, said.of, said.exact


def test_who_misreads_is_told_by_cases_that_are_alike() -> None:
    same = ("gptq", "bits-4", "symmetric", "group-size-128", "scales-float16")
    right, wrong = case("pass", *same, "bias"), case("fail", *same, "no-bias")
    assert words(right) == ("right", 1, 1, True)
    assert words(right, wrong) == ("WRONG", 1, 2, True)
    # Loud, or not claimed, or rounded is not silent.
    assert words(right, case("fail", *same, manner="unread")) == ("fails", 1, 2, True)
    assert words(case("refused", *same)) == ("not read", 0, 1, True)
    assert words(right, case("fail", *same, steps=0.1)) == ("rounded", 1, 2, True)
    # What has something of note beyond what was seen, is unsound, or is a proof of something else, does not count.
    for other in (
        case("fail", *same, "gptq_v2"),
        case("fail", *same, "act-order"),
        case("fail", *same, "auto-round"),
        case("fail", *same, "any-finite-scales"),
        case("fail", *same, tier="policy"),
        case("fail", *same, level="layouts"),
        case("fail", *same, level="refusals"),
        case("fail", "gptq", "bits-8", "symmetric", "group-size-128", "scales-float16"),
    ):
        assert words(right, other) == ("right", 1, 1, True)
    # Other sizes and dtypes stand in where there is no case of just these, and that is said.
    near = case("fail", "gptq", "bits-4", "symmetric", "group-size-32", "scales-bfloat16")
    assert words(right, near) == ("right", 1, 1, True)
    assert words(near) == ("WRONG", 1, 1, False)
    assert words(case("fail", "gptq", "bits-4", "asymmetric", "group-size-128", "scales-float16")) == ("-", 0, 0, False)


def test_of_several_kinds_of_modules_the_worst_is_told() -> None:
    flags = ["gptq", "bits-4", "symmetric"]
    told = Reports([Report({"subject": "loader"}, [case("pass", *flags), case("fail", "gptq", "bits-8", "symmetric")])])
    good, bad = (
        {"format": "gptq", "flags": ["gptq", bits, "symmetric"], "modules": 9} for bits in ("bits-4", "bits-8")
    )
    unknown = {"format": None, "flags": [], "modules": 1}
    for kinds, word in (([good], "right"), ([good, bad], "WRONG"), ([good, unknown], "-"), ([unknown, bad], "WRONG")):
        assert [said.word for said in told.of(kinds)] == [word]
        assert silently_wrong(told.of(kinds)) == (["loader"] if word == "WRONG" else [])


def test_a_hub_that_says_later_is_asked_later(hub: Hub) -> None:
    seen: Counter[str] = Counter()

    def fails(path: str) -> tuple[int, dict[str, str]] | None:
        seen[path] += 1
        refusals = [(429, {"Retry-After": "0"}), (429, {"RateLimit": '"api";r=0;t=0'})]
        return refusals[seen[path] - 1] if seen[path] <= len(refusals) else None

    hub.add("some/repo", real("llama-awq-g128")())
    hub.fails = fails
    row = asking.ask(CORE, Repo("some/repo"))
    assert (row["outcome"], row["modules"]) == ("read", 14)
    told = Counter(entry.path.partition("?")[0] for entry in hub.log if entry.status == 429)
    files = [path for path in seen if "/resolve/" in path or path.startswith("/api/models/")]
    assert [told[path] for path in files] == [2] * len(files) == [2] * 4


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.slept = 1000.0, 0.0
        # Theirs alone: other threads of this process tell the time as well.
        monkeypatch.setattr(patience, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep))

    def sleep(self, seconds: float) -> None:
        self.now, self.slept = self.now + seconds, self.slept + seconds


class Answer(Exception):
    def __init__(self, status: int, **headers: str) -> None:
        self.response = type("Response", (), {"status_code": status, "headers": headers})()


def failing(*errors: Exception) -> Callable[[], str]:
    left = list(errors)

    def question() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return question


@pytest.mark.parametrize(
    ("status", "headers", "low", "high"),
    [
        (429, {"retry-after": "55"}, 56, 56),
        (429, {"ratelimit": '"api";r=0;t=120'}, 121, 121),
        (429, {"retry-after": "99999999"}, 600, 600),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.5, 1),
        (503, {"retry-after": "7"}, 8, 8),
        (503, {}, 0.5, 1),
        (503, {"ratelimit": '"api";r=400;t=120'}, 0.5, 1),
    ],
)
def test_a_pause_is_as_long_as_the_hub_says(
    status: int, headers: dict[str, str], low: float, high: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "HTTP_ERROR", Answer)
    clock, gate, beats = Clock(monkeypatch), patience.Gate(), []
    answer = patience.patiently(failing(Answer(status, **headers)), gate=gate, alive=lambda: beats.append(clock.now))
    assert answer == "answer"
    assert low <= clock.slept <= high
    # Whoever watches hears of it, or a long wait would look like a hang.
    assert all(later - earlier <= 2 for earlier, later in pairwise(beats))


def test_one_that_is_told_to_wait_holds_up_the_others_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HTTP_ERROR", Answer)
    clock, gate = Clock(monkeypatch), patience.Gate()
    gate.close(30)
    assert patience.patiently(failing(), gate=gate) == "answer"
    assert clock.slept == 30


def test_patience_ends_and_a_refusal_is_none_of_its_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HTTP_ERROR", Answer)
    clock = Clock(monkeypatch)
    with pytest.raises(Answer):
        patience.patiently(failing(*[Answer(503)] * 3), attempts=3, gate=patience.Gate())
    assert 0 < clock.slept <= 3
    for status in (401, 403, 404, 416):
        with pytest.raises(Answer):
            patience.patiently(failing(Answer(status)), gate=patience.Gate())
    assert clock.slept <= 3


def test_what_may_pass_is_asked_again_by_the_next_run(
    hub: Hub, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience.patiently, "__kwdefaults__", patience.patiently.__kwdefaults__ | {"attempts": 1})
    hub.add("some/repo", real("llama-awq-g128")())
    hub.add("other/repo", real("llama-awq-g32")())
    (tmp_path / "list").write_text("some/repo\nother/repo\n")
    out = tmp_path / "t.parquet"
    command = ["survey", str(tmp_path / "list"), "-o", str(out), "--scheduler", scheduler]
    hub.fails = lambda path: (429, {}) if path.startswith("/api/models/some/") else None
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 1, first.output
    assert "1 could not be asked" in first.output
    assert [(row["outcome"], row["code"]) for row in rows(out)] == [("error", "rate-limited"), ("read", None)]
    asked = len(hub.log)
    hub.fails = lambda path: None
    assert CliRunner().invoke(app, command).exit_code == 0
    assert [row["outcome"] for row in rows(out)] == ["read", "read"]
    assert not any("other/repo" in entry.path for entry in hub.log[asked:])


def test_a_survey_without_a_network_ends(
    hub: Hub, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience.patiently, "__kwdefaults__", patience.patiently.__kwdefaults__ | {"attempts": 1})
    (tmp_path / "list").write_text("".join(f"some/repo-{number}\n" for number in range(100)))
    hub.fails = lambda path: (503, {})
    out = tmp_path / "t.parquet"
    done = CliRunner().invoke(app, ["survey", str(tmp_path / "list"), "-o", str(out), "--scheduler", scheduler])
    assert done.exit_code == 2
    assert "20 repos in a row are out of reach" in done.output
    assert len(journalled(tmp_path / "t.parquet.journal")) == 20
    assert len(hub.log) < 50


def repo_with(hub: Hub, weights: bytes, **options: Any) -> Repo:
    hub.add("some/repo", configured(weights, **GPTQ), **options)
    return Repo("some/repo")


def raw(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b'{"a": 1}',
        b'{"a": {"dtype": "I32", "shape": ["1"], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "I32", "shape": [true], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "I32", "shape": [1], "data_offsets": [-4, 0]}}',
        b'{"a": {"dtype": "I32", "shape": [1], "data_offsets": [0, 4, 8]}}',
        b'{"a": {"dtype": "I32", "shape": {"b": 1}, "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "I32", "shape": [1e999], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "I32", "shape": [1' + b"0" * 5000 + b'], "data_offsets": [0, 4]}}',
        b'{"a":' * 40_000,
        b'{"\xff": {}}',
        b"\x00" * 64,
    ],
)
def test_a_hostile_header_is_a_row(text: bytes, hub: Hub) -> None:
    row = asking.ask(CORE, repo_with(hub, raw(text)))
    assert (row["outcome"], row["code"], row["where"]) == ("refused", "truncated-file", "model.safetensors")
    assert len(row["message"]) < 2100


def test_a_hostile_name_harms_neither_terminal_nor_table(hub: Hub, tmp_path: Path) -> None:
    name = "\x1b[31m\u202e\ud800\x00" * 300
    weights = json.dumps({f"{name}.qweight": {"dtype": "F4", "shape": [1], "data_offsets": [0, 4]}}).encode()
    hub.add(
        "some/repo",
        configured(raw(weights) + bytes(4), **GPTQ)
        | {"config.json": json.dumps({"model_type": "llama", "architectures": ["\x1b[31m\u202e"], **GPTQ}).encode()},
    )
    row = asking.ask(CORE, Repo("some/repo"))
    assert row["outcome"] == "refused"
    assert row["architecture"] == "\\x1b[31m\\u202e"
    assert all(row[column].isprintable() and len(row[column]) < 2100 for column in ("code", "where", "message"))
    odd = {"repo": "\ud800", "revision": None, "outcome": "error", "bits": [10**40], "modules": "many", "kinds": None}
    table.write(tmp_path / "t.parquet", [row, odd], None, ABOUT)
    assert [found["bits"] for found in rows(tmp_path / "t.parquet")] == [[4], [None]]


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (Bounds(headers=1), "more than 1 safetensors files"),
        (Bounds(bytes=50_000), "more than 50000 bytes"),
        (Bounds(files=3), "at most 3 are looked at"),
        (Bounds(seconds=0), "more than 0 seconds"),
    ],
)
def test_a_repo_may_cost_so_much_and_no_more(bounds: Bounds, said: str, hub: Hub) -> None:
    hub.add("some/repo", real("qwen2-awq-g128")())
    with pytest.raises(MalformedCheckpoint, match=said) as refusal:
        list(survey("some/repo", bounds=bounds))
    assert refusal.value.code == "too-large"


def test_a_header_is_read_to_its_bound_whatever_it_says(hub: Hub, tmp_path: Path) -> None:
    tensors = {f"model.layers.{n}.mlp.down_proj.weight": ("F16", [16, 8], 256) for n in range(1500)}
    weights = header(tensors)
    size = int.from_bytes(weights[:8], "little")
    assert size > 100_000
    repo = repo_with(hub, weights)
    assert len(HubHeaders(repo.id, None, tmp_path).header("model.safetensors")) == 1500
    assert hub.sent("model.safetensors") == size + 8
    with pytest.raises(MalformedCheckpoint, match=f"at most {size - 1} are read"):
        HubHeaders(repo.id, None, tmp_path, bounds=Bounds(header=size - 1)).header("model.safetensors")


def test_a_server_that_only_sends_all_of_it_is_not_listened_to(hub: Hub, tmp_path: Path) -> None:
    tensors = {f"model.layers.{n}.mlp.down_proj.weight": ("F16", [128, 64], 1 << 14) for n in range(1500)}
    repo = repo_with(hub, header(tensors), whole=frozenset({"model.safetensors"}))
    files = HubHeaders(repo.id, None, tmp_path)
    with pytest.raises(MalformedCheckpoint, match="only the whole file"):
        files.header("model.safetensors")
    assert files.received < 1 << 20


def test_a_list_is_names_and_remarks() -> None:
    lines = ["# all", "a/b", " a/b@main # once more ", "a/b", "", "c/d@refs/pr/1", "no name\x00"]
    assert repos(lines) == [Repo("a/b"), Repo("a/b", "main"), Repo("c/d", "refs/pr/1"), Repo("no name\x00")]
    assert [repo.name for repo in repos(lines)][:2] == ["a/b", "a/b@main"]


def test_no_name_of_a_repo_is_a_row(hub: Hub) -> None:
    assert asking.ask(CORE, Repo("no name\x00"))["code"] == "no-name-of-a-repo"
    hub.add("some/repo", real("llama-awq-g128")())
    assert asking.ask(CORE, Repo("some/repo", "nowhere"))["code"] == "no-such-revision"


def line(repo: str, **more: Any) -> dict[str, Any]:
    return {"repo": repo, "revision": None, "outcome": "read", **more}


def test_a_journal_keeps_what_was_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    with Journal(file, ABOUT) as journal:
        journal.add(line("a/a"))
        journal.add(line("b/b"))
    whole = file.read_bytes()
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        with Journal(file, ABOUT) as journal:
            kept = [row["repo"] for row in journal.rows([Repo("b/b"), Repo("a/a")])]
            assert kept == (["b/b", "a/a"] if end == len(whole) else ["a/a"] if whole[:end].count(b"\n") == 2 else [])
            journal.add(line("c/c"))
        with Journal(file, ABOUT) as journal:
            assert Repo("c/c") in journal.settled
    file.write_bytes(whole)
    with Journal(file, ABOUT) as journal:
        assert journal.settled == {Repo("a/a"), Repo("b/b")}
        journal.add(line("a/a", outcome="error", code="unreachable"))
        assert journal.settled == {Repo("b/b")}
        assert [row["outcome"] for row in journal.rows([Repo("a/a")])] == ["error"]


def test_a_journal_is_of_one_survey_and_one_process(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    with Journal(file, ABOUT), pytest.raises(SurveyError, match="another survey is writing"), Journal(file, ABOUT):
        pass
    with (
        pytest.raises(SurveyError, match="begun with version '1', and this is '2'"),
        Journal(file, ABOUT | {"version": "2"}),
    ):
        pass
    for text in ("no journal", "[]\n", '{"a": 1}\n', "x\n"):
        file.write_text(text)
        with pytest.raises(SurveyError, match=r"no journal of a survey|is damaged"), Journal(file, ABOUT):
            pass
        assert file.read_text() == text


def test_a_repo_at_which_every_worker_ends_is_a_row_and_the_others_go_on() -> None:
    pieces = [Repo(f"x/{number}") for number in range(6)] + [Repo("x/bad")] + [Repo(f"y/{n}") for n in range(6)]
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), spread.workers(None, 2, 1) as client:
        found = list(spread.spread(client, deadly, pieces, asking.lost))
    assert Counter(row["repo"] for row in found) == Counter(piece.id for piece in pieces)
    (bad,) = [row for row in found if row["repo"] == "x/bad"]
    assert (bad["outcome"], bad["code"]) == ("error", "worker-died")
    assert "2 workers ended" in bad["message"]


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    (tmp_path / "list").write_text("a/b\n")
    for module in ("distributed", "pyarrow"):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, module, None)
            done = CliRunner().invoke(app, ["survey", str(tmp_path / "list"), "-o", str(tmp_path / "t.parquet")])
            assert done.exit_code == 2
            assert "pip install 'mlx-quant[survey]'" in done.output
    assert CliRunner().invoke(app, ["survey", str(tmp_path / "none")]).exit_code == 2
    done = CliRunner().invoke(
        app, ["survey", str(tmp_path / "list"), "-o", str(tmp_path / "t"), "--scheduler", "tcp://127.0.0.1:9"]
    )
    assert done.exit_code == 2
    assert "no Dask scheduler" in done.output
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    done = CliRunner().invoke(app, ["survey", str(tmp_path / "list"), "-o", str(tmp_path / "t")])
    assert done.exit_code == 2
    assert "HF_HUB_OFFLINE" in done.output


def test_verify_spreads_the_modules_of_a_checkpoint(scheduler: str) -> None:
    folder = str(ROOT / "fixtures/awq_gemm/models/llama-awq-g32")
    spread_out = CliRunner().invoke(app, ["verify", folder, "--scheduler", scheduler])
    assert spread_out.exit_code == 0, spread_out.output
    assert "verified: 14 modules, 1,179,648 weights, 0 wrong" in spread_out.output


def test_what_workers_find_is_what_one_process_finds(scheduler: str) -> None:
    subject = "py:tests.harness.pieces:ONE_OFF"
    folder = ROOT / "fixtures/awq_gemm/models/llama-awq-g32"
    reader, oracle = resolve(subject), resolve(ORACLE)
    alone = {module.name: module for module in verify.modules(reader, oracle, folder)}
    with spread.workers(scheduler, 0, 0) as client:
        work = functools.partial(verify.one, subject, ORACLE, folder)
        found = list(spread.spread(client, work, verify.names(reader, oracle, folder), verify.failed))
    assert len(found) == 14
    assert {module.name: module for module in found} == alone
    assert sum(bool(module.complaint) for module in found) == 2


class Running:
    """The command, in a process of its own with workers of its own."""

    def __init__(self, hub: Hub, folder: Path, kinds: dict[str, str]) -> None:
        self.table, self.journal = folder / "t.parquet", folder / "t.parquet.journal"
        (folder / "list").write_text("".join(f"{repo}\n" for repo in kinds))
        (folder / "reports").mkdir(exist_ok=True)
        shutil.copy(ROOT / "docs/results/gptqmodel.jsonl", folder / "reports")
        own = {name: value for name, value in environment().items() if not name.startswith("HF_")}
        own |= {"HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
        command = [sys.executable, "-m", "conformance.cli", "survey", str(folder / "list"), "-o", str(self.table)]
        self.process = subprocess.Popen(
            [*command, "--workers", "2", "--threads", "2", "--reports", str(folder / "reports")],
            env=own,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_for_rows(self, count: int) -> None:
        until = time.monotonic() + 120
        while len(journalled(self.journal)) < count:
            assert self.process.poll() is None, "it ended before it was to be stopped"
            assert time.monotonic() < until
            time.sleep(0.01)

    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if any("spawn_main" in part for part in child.cmdline())]

    def end(self) -> int:
        self.said = self.process.communicate(timeout=300)[0]
        return self.process.returncode


def asked_of(hub: Hub) -> Counter[str]:
    """How often each repo was looked up; whatever it is, that is the first request."""
    paths = [entry.path.partition("?")[0] for entry in hub.log]
    return Counter(path.removeprefix("/api/models/") for path in paths if path.startswith("/api/models/"))


def test_a_worker_that_is_killed_loses_nothing_and_counts_nothing_twice(hub: Hub, tmp_path: Path) -> None:
    kinds = fill(hub, len(KINDS))
    hub.latency = 0.05
    running = Running(hub, tmp_path, kinds)
    running.wait_for_rows(5)
    running.workers()[0].kill()
    killed_at = len(journalled(running.journal))
    assert running.end() == 0
    assert killed_at < len(kinds)
    found = rows(running.table)
    assert [row["repo"] for row in found] == list(kinds)
    assert [row["repo"] for row in found if not due(row, kinds[row["repo"]])] == []
    assert Counter(row["repo"] for row in journalled(running.journal)) == Counter(list(kinds))
    # What the worker had begun was begun anew.
    assert max(asked_of(hub).values()) == 2


@pytest.mark.parametrize("stopped_by", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_survey_that_is_stopped_goes_on_where_it_was(stopped_by: signal.Signals, hub: Hub, tmp_path: Path) -> None:
    kinds = fill(hub, len(KINDS))
    hub.latency = 0.05
    first = Running(hub, tmp_path, kinds)
    first.wait_for_rows(5)
    workers = first.workers()
    first.process.send_signal(stopped_by)
    first.process.communicate(timeout=120)
    assert first.process.returncode == (130 if stopped_by == signal.SIGINT else -stopped_by)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive, "workers outlive the survey"
    if stopped_by == signal.SIGKILL:
        with open(first.journal, "ab") as file:
            file.write(b'{"repo": "owner-0/torn')
    settled = {row["repo"] for row in journalled(first.journal)}
    assert 5 <= len(settled) < len(kinds)
    assert not first.table.exists()
    hub.log.clear()
    second = Running(hub, tmp_path, kinds)
    assert second.end() == 0
    assert f"{len(kinds)} repos, {len(kinds) - len(settled)} of them asked now" in second.said
    assert asked_of(hub) == Counter(set(kinds) - settled)
    found = rows(second.table)
    assert [row["repo"] for row in found if not due(row, kinds[row["repo"]])] == []
    assert [row["repo"] for row in found] == list(kinds)
    assert Counter(row["repo"] for row in journalled(second.journal)) == Counter(list(kinds))


def test_the_hub_of_these_tests_limits_as_it_says() -> None:
    fails = limited(every=2, window=60)
    assert [fails("/") is None for _ in range(4)] == [True, True, False, False]
    status, headers = fails("/") or (0, {})
    assert status == 429
    assert "r=0;t=5" in headers["RateLimit"]
