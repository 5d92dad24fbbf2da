"""Packed repos on a Hub: what is asked of the server, byte for byte, and what becomes of its refusals."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from examples import hub_smoke
from mlx_quant import Checkpoint, ConversionError, MalformedCheckpoint, QuantError, UnsupportedFormat, convert, load
from mlx_quant.cli.inspection import inspect
from tests.checkpoint.hub_server import Hub, files_of
from tests.conftest import environment, stored

ROOT = Path(__file__).parents[2]
REPO = "someone/tiny-model"
# huggingface_hub asks for so much of a safetensors file in the hope that the header is in it.
HEADER_SPAN = "bytes=0-100000"
DECOYS = {
    "README.md": b"# A model",
    "modeling_tiny.py": b"raise SystemExit",
    "pytorch_model.bin": b"\x80\x04pickled" * 1000,
    "tokenizer.pkl": b"\x80\x04pickled",
    "model.gguf": b"GGUF" * 1000,
    "images/plot.png": b"\x89PNG" * 1000,
}


def weights_in(cache: Path) -> list[str]:
    return [path.name for path in cache.rglob("*") if path.suffix in (".safetensors", ".bin", ".gguf")]


def tensors(folder: Path) -> dict[str, mx.array]:
    found: dict[str, mx.array] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= mx.load(str(file))
    return found


def same_weights(first: Path, second: Path) -> bool:
    one, other = tensors(first), tensors(second)
    return one.keys() == other.keys() and all(mx.array_equal(one[name], other[name]).item() for name in one)


def refusal(kind: type[QuantError], code: str, action: Any) -> QuantError:
    with pytest.raises(kind) as caught:
        action()
    assert caught.value.code == code
    return caught.value


def test_inspect_asks_for_headers_and_nothing_else_of_the_weights(hub: Hub, tmp_path: Path) -> None:
    local = files_of(stored("qwen2-awq-g128"))
    commit = hub.add(REPO, local | DECOYS | {"other.safetensors": local["model-00001-of-00002.safetensors"]})
    found = inspect(REPO)
    asked = [entry for entry in hub.log if entry.path.endswith(".safetensors") and entry.status == 206]
    shards = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}
    assert {(entry.path.rpartition("/")[2], entry.span) for entry in asked} == {(name, HEADER_SPAN) for name in shards}
    assert hub.sent(".safetensors") <= 2 * 100_001
    small = {"config.json", "generation_config.json", "provenance.json", "tokenizer.json", "tokenizer_config.json"}
    assert hub.fetched() == shards | small | {"model.safetensors.index.json"}
    assert not weights_in(tmp_path / "cache")
    assert (found.commit, found.read) == (commit, "headers")
    assert "other.safetensors is not part of this checkpoint and is ignored" in found.warnings


@pytest.mark.parametrize("name", ["qwen2-awq-g32", "llama-gptq-g128-act-asym", "qwen2-gptq-gall-seq-sym"])
def test_headers_alone_tell_what_the_data_tell(hub: Hub, name: str) -> None:
    """These checkpoints are as their configuration says, so the plan from headers must be the plan from data."""
    hub.add(REPO, files_of(stored(name)))
    remote, local = inspect(REPO), inspect(stored(name))
    assert (remote.modules, remote.plain, remote.outcomes) == (local.modules, local.plain, local.outcomes)
    assert (remote.auto, remote.nbytes, remote.lm_head) == (local.auto, local.nbytes, local.lm_head)
    assert (local.read, remote.read) == ("data", "headers")


def test_a_header_larger_than_the_first_request_is_read_whole(hub: Hub, tmp_path: Path) -> None:
    files = files_of(stored("llama-awq-g128"))
    data = files["model.safetensors"]
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = {"padding": "x" * 150_000}
    written = json.dumps(header).encode()
    files["model.safetensors"] = struct.pack("<Q", len(written)) + written + data[8 + size :]
    hub.add(REPO, files)
    assert len(Checkpoint.open(REPO).modules) == 14
    assert hub.sent(".safetensors") == 100_001 + len(written)
    assert not weights_in(tmp_path / "cache")


def test_convert_fetches_the_weights_it_needs_and_no_others(hub: Hub, tmp_path: Path) -> None:
    local = files_of(stored("qwen2-awq-g128"))
    hub.add(REPO, local | DECOYS | {"adapter.safetensors": b"not even one"})
    convert(REPO, tmp_path / "out", target="dense", progress=False)
    assert hub.fetched() == set(local)
    convert(stored("qwen2-awq-g128"), tmp_path / "expected", target="dense", progress=False)
    assert same_weights(tmp_path / "out", tmp_path / "expected")


def test_the_cache_serves_a_second_conversion_and_one_without_a_network(hub: Hub, tmp_path: Path) -> None:
    hub.add(REPO, files_of(stored("llama-gptq-g128-seq-asym")))
    convert(REPO, tmp_path / "first", progress=False)
    sent = hub.sent(".safetensors")
    convert(REPO, tmp_path / "second", progress=False)
    assert hub.sent(".safetensors") == sent > 0
    hub.__exit__()
    convert(REPO, tmp_path / "third", progress=False, local_files_only=True)
    assert same_weights(tmp_path / "first", tmp_path / "second")
    assert same_weights(tmp_path / "first", tmp_path / "third")


def test_offline_mode_uses_the_cache(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    hub.add(REPO, files_of(stored("llama-awq-g32")))
    Checkpoint.open(REPO).files.fetch(["model.safetensors"])
    asked = len(hub.log)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    checkpoint = Checkpoint.open(REPO)
    assert len(checkpoint.modules) == 14
    assert checkpoint.label == REPO
    assert len(hub.log) == asked


def test_offline_without_a_cache_is_refused(hub: Hub) -> None:
    hub.add(REPO, files_of(stored("llama-awq-g32")))
    error = refusal(ConversionError, "hub-error", lambda: Checkpoint.open(REPO, local_files_only=True))
    assert error.where == REPO
    assert not hub.log


def test_load_from_the_hub_is_load_from_the_folder(hub: Hub, tmp_path: Path) -> None:
    folder = stored("qwen2-gptq-g32-seq-asym")
    commit = hub.add(REPO, files_of(folder) | DECOYS)
    (remote, _), (local, tokenizer) = load(REPO), load(folder)
    prompt = mx.array([tokenizer.encode("A weight that has been quantised")])
    assert mx.array_equal(remote(prompt), local(prompt)).item()
    assert remote._hf_repo == REPO
    assert Path(remote._src_path) == (tmp_path / "cache" / "models--someone--tiny-model" / "snapshots" / commit)
    assert hub.fetched() == set(files_of(folder))


def test_a_revision_is_kept_to(hub: Hub, tmp_path: Path) -> None:
    old = hub.add(REPO, files_of(stored("llama-gptq-g32-act-sym")), ref="v1")
    new = hub.add(REPO, files_of(stored("llama-awq-g32")))
    assert Checkpoint.open(REPO).scheme.method == "awq"
    for revision in (old, old[:40], "v1"):
        checkpoint = Checkpoint.open(REPO, revision=revision)
        assert (checkpoint.scheme.method, checkpoint.files.commit) == ("gptq", old)
    assert inspect(REPO, revision=new).commit == new
    error = refusal(ConversionError, "hub-error", lambda: Checkpoint.open(REPO, revision="v2"))
    assert "v2" in str(error)


def test_a_branch_that_moves_does_not_mix_two_commits(hub: Hub, tmp_path: Path) -> None:
    hub.add(REPO, files_of(stored("llama-gptq-g128-seq-asym")))
    checkpoint = Checkpoint.open(REPO)
    hub.add(REPO, files_of(stored("llama-gptq-g128-act-asym")))
    convert(checkpoint, tmp_path / "out", progress=False)
    convert(stored("llama-gptq-g128-seq-asym"), tmp_path / "expected", progress=False)
    assert same_weights(tmp_path / "out", tmp_path / "expected")


@pytest.mark.parametrize("token", [None, "hf_made_up"])
def test_a_missing_repo_is_refused_by_name(hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    error = refusal(ConversionError, "hub-error", lambda: Checkpoint.open("someone/nothing"))
    assert error.where == "someone/nothing"
    assert "Repository Not Found" in error.message


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("hf_made_up", 403)])
def test_a_gated_repo_is_refused_and_says_so(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str | None, status: int
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.add(REPO, files_of(stored("llama-awq-g32")), access="gated")
    error = refusal(ConversionError, "hub-error", lambda: inspect(REPO))
    assert "gated" in error.message
    assert str(status) in error.message
    assert not hub.fetched()


def test_a_token_opens_a_private_repo_and_does_not_reach_the_other_host(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.add(REPO, files_of(stored("llama-awq-g32")), access="token")
    refusal(ConversionError, "hub-error", lambda: Checkpoint.open(REPO))
    monkeypatch.setenv("HF_TOKEN", "hf_made_up")
    convert(REPO, tmp_path / "out", progress=False)
    blobs = [entry for entry in hub.log if entry.path.startswith("/blobs/")]
    assert blobs
    assert not any(entry.authorized for entry in blobs)


def test_a_shard_that_the_index_names_and_the_repo_lacks(hub: Hub, tmp_path: Path) -> None:
    files = files_of(stored("qwen2-awq-g128"))
    del files["model-00002-of-00002.safetensors"]
    hub.add(REPO, files)
    error = refusal(MalformedCheckpoint, "missing-file", lambda: convert(REPO, tmp_path / "out", progress=False))
    assert error.where == "model-00002-of-00002.safetensors"
    assert hub.sent(".safetensors") == 0
    assert not (tmp_path / "out").exists()


def test_a_shard_uploaded_in_part_is_refused(hub: Hub, tmp_path: Path) -> None:
    files = files_of(stored("qwen2-awq-g128"))
    files["model-00002-of-00002.safetensors"] = files["model-00002-of-00002.safetensors"][:-1000]
    hub.add(REPO, files)
    error = refusal(MalformedCheckpoint, "truncated-file", lambda: convert(REPO, tmp_path / "out", progress=False))
    assert "model-00002-of-00002.safetensors" in str(error)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize("kept", [4, 1000])
def test_a_file_too_short_for_its_own_header_is_refused(hub: Hub, kept: int) -> None:
    files = files_of(stored("llama-awq-g32"))
    files["model.safetensors"] = files["model.safetensors"][:kept]
    hub.add(REPO, files)
    error = refusal(MalformedCheckpoint, "truncated-file", lambda: inspect(REPO))
    assert "model.safetensors" in str(error)


def _claiming(data: bytes, name: str, **entry: Any) -> bytes:
    """A safetensors file whose header says something else of one tensor."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header[name] |= entry
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


@pytest.mark.parametrize(
    ("claim", "code"),
    [
        ({"shape": [100_000, 100_000]}, "truncated-file"),
        ({"shape": [2**40, 2**40], "data_offsets": [0, 2**70]}, "bad-shape"),
        ({"shape": [-1, 4]}, "bad-shape"),
        ({"data_offsets": [0, 2**50]}, "truncated-file"),
        ({"data_offsets": [-8, 0]}, "truncated-file"),
        ({"data_offsets": [16, 8]}, "truncated-file"),
        ({"data_offsets": ["x", "y"]}, "truncated-file"),
        ({"data_offsets": None}, "truncated-file"),
        ({"shape": None}, "truncated-file"),
        ({"shape": [[1]]}, "truncated-file"),
    ],
    ids=range(10),
)
def test_a_header_is_held_to_the_size_of_its_file(hub: Hub, tmp_path: Path, claim: dict[str, Any], code: str) -> None:
    """Before anything is made for what it claims, and before any weight is downloaded."""
    files = files_of(stored("llama-awq-g32"))
    name = "model.layers.0.mlp.down_proj.qweight"
    files["model.safetensors"] = _claiming(files["model.safetensors"], name, **claim)
    hub.add(REPO, files)
    error = refusal(MalformedCheckpoint, code, lambda: inspect(REPO))
    assert "model.safetensors" in str(error.where) or REPO in str(error.where)
    assert hub.sent(".safetensors") <= 100_001
    assert not weights_in(tmp_path / "cache")


def test_a_header_that_claims_all_of_a_file_and_more_is_refused(hub: Hub, tmp_path: Path) -> None:
    """Every tensor where the one before ends, each as long as its shape: only the file's size betrays it."""
    files = files_of(stored("llama-awq-g32"))
    data = files["model.safetensors"]
    size = int.from_bytes(data[:8], "little")
    end = max(
        entry["data_offsets"][1] for key, entry in json.loads(data[8 : 8 + size]).items() if "data_offsets" in entry
    )
    header = json.loads(data[8 : 8 + size])
    header["more"] = {"dtype": "U8", "shape": [2**30], "data_offsets": [end, end + 2**30]}
    text = json.dumps(header).encode()
    files["model.safetensors"] = struct.pack("<Q", len(text)) + text + data[8 + size :]
    hub.add(REPO, files)
    error = refusal(MalformedCheckpoint, "truncated-file", lambda: inspect(REPO))
    assert "the upload is not whole" in error.message
    assert not weights_in(tmp_path / "cache")


def test_a_connection_that_breaks_is_an_error_and_leaves_nothing(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the library's own attempts
    hub.add(REPO, files_of(stored("llama-awq-g32")), cut={"model.safetensors": 400_000})
    error = refusal(ConversionError, "hub-error", lambda: convert(REPO, tmp_path / "out", progress=False))
    assert error.where == REPO
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_no_server_at_all(hub: Hub) -> None:
    hub.__exit__()
    refusal(ConversionError, "hub-error", lambda: Checkpoint.open(REPO))


def test_pickled_weights_are_refused_and_not_downloaded(hub: Hub) -> None:
    files = files_of(stored("llama-gptq-g128-seq-asym"))
    del files["model.safetensors"]
    hub.add(REPO, files | {"pytorch_model.bin": b"\x80\x04" * 1000})
    error = refusal(UnsupportedFormat, "unsafe-weights", lambda: inspect(REPO))
    assert error.where == "pytorch_model.bin"
    assert hub.sent(".bin") == 0


def test_a_refused_method_costs_no_weight_bytes(hub: Hub, tmp_path: Path) -> None:
    files = files_of(stored("llama-awq-g32"))
    files["config.json"] = files["config.json"].replace(b'"quant_method": "awq"', b'"quant_method": "higgs"')
    hub.add(REPO, files)
    refusal(UnsupportedFormat, "unsupported-method", lambda: convert(REPO, tmp_path / "out", progress=False))
    assert hub.sent(".safetensors") == 0


@pytest.mark.parametrize("name", ["qwen2-gptq-g32-seq-asym", "llama-awq-g32"])
def test_the_smoke_test_for_public_repos_passes_here(hub: Hub, tmp_path: Path, name: str) -> None:
    method, group = name.split("-")[1:3]
    commit = hub.add(REPO, files_of(stored(name)))
    asked = {"question": "A weight that has been quantised is a", "answer": "promise and a compromise"}
    pinned = hub_smoke.Pinned(REPO, commit, method, int(group[1:]), modules=14, **asked)
    results = list(hub_smoke.check(pinned, tmp_path / "cache"))
    assert len(results) == 8
    assert all(good for _, good in results), results
    wrong = replace(pinned, group_size=64, modules=168, answer="Paris", revision="main")
    failed = [text for text, good in hub_smoke.check(wrong, tmp_path / "other") if not good]
    assert len(failed) == 4, "commit, headers, and both answers"


def test_the_command_line_reads_the_endpoint_from_the_environment(hub: Hub, tmp_path: Path) -> None:
    hub.add(REPO, files_of(stored("qwen2-gptq-g128-act-sym")) | DECOYS)
    own = environment(HF_ENDPOINT=hub.endpoint, HF_HOME=str(tmp_path / "home"), HF_HUB_OFFLINE="0")
    command = [sys.executable, "-m", "mlx_quant.cli", "inspect", REPO, "--json"]
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["source"], found["scheme"]["method"], found["modules"][0]["act_order"]) == (REPO, "gptq", True)
    assert not weights_in(tmp_path / "home")
    assert {entry.span for entry in hub.log if entry.status == 206} == {HEADER_SPAN}


def test_verify_fetches_a_repo_and_finds_nothing_wrong(hub: Hub) -> None:
    from conformance.run.verify import VerifyError, folder_of, modules
    from conformance.subjects.resolve import CORE, ORACLE, resolve

    hub.add(REPO, files_of(stored("qwen2-awq-g128")) | DECOYS)
    found = list(modules(resolve(CORE), resolve(ORACLE), folder_of(REPO)))
    assert len(found) == 14
    assert not any(module.complaint for module in found)
    assert not any(name.endswith((".bin", ".gguf", ".png")) for name in hub.fetched())
    with pytest.raises(VerifyError, match="nobody/nothing"):
        folder_of("nobody/nothing")
