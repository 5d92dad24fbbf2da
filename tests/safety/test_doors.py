"""A repo is somebody else's: every door by which code, links or names could get in, tried with a poisoned one.

A canary is a file that only the repo's code would make.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from mlx_quant import Checkpoint, MalformedCheckpoint, QuantError, UnsupportedFormat, convert, load
from mlx_quant.cli.main import _chat_prompt, _stream, app
from mlx_quant.dialects.patterns import Patterns
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.errors import printable
from mlx_quant.models import architecture
from mlx_quant.models.architecture import Architecture
from mlx_quant.running.tokenizer import load_tokenizer
from tests.checkpoint.test_refusals import hub_cache
from tests.conftest import environment, stored

ROOT = Path(__file__).parents[2]
GPTQ = "llama-gptq-g128-seq-asym"
Copy = Callable[..., Any]


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture
def poisoned(copy: Copy, canary: Path) -> Any:
    """A sound checkpoint, with code in every place where a loader might run some."""
    source = copy(GPTQ)
    code = f"open({str(canary)!r}, 'a').write(__name__ + '\\n')\n"
    # Classes of its own: transformers marks a trusted one as code of a repo, for as long as the process runs.
    code += "from transformers import LlamaConfig, PreTrainedTokenizerFast\n"
    code += "class Evil(PreTrainedTokenizerFast): pass\nclass EvilConfig(LlamaConfig): pass\n"
    for name in (
        "evil.py",
        "tokenizer.py",
        "tokenization_evil.py",
        "llama.py",
        "mlx_lm.py",
        "conftest.py",
        "LICENSE.py",
    ):
        (source.path / name).write_text(code)
    (source.path / "tokenizer.pkl").write_bytes(pickle.dumps(_Bomb(canary)))
    (source.path / "tokenizer.so").write_bytes(b"\x7fELF")
    return source


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def refusal(action: Callable[[], Any]) -> QuantError:
    with pytest.raises(QuantError) as caught:
        action()
    return caught.value


def auto_map(source: Any) -> None:
    source.write_json(
        source.json("tokenizer_config.json")
        | {"tokenizer_class": "EvilTokenizer", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}},
        "tokenizer_config.json",
    )


def test_a_tokenizer_of_code_is_refused_and_nobody_is_asked(poisoned: Any, canary: Path) -> None:
    auto_map(poisoned)
    error = refusal(lambda: load(poisoned.path))
    assert (type(error), error.code) == (UnsupportedFormat, "untrusted-code")
    assert "--trust-remote-code" in error.message
    assert not canary.exists()


def test_a_prompt_on_standard_input_does_not_answer_for_the_user(poisoned: Any, canary: Path) -> None:
    """transformers asks there whether code may run, and whoever pipes a prompt would have said yes."""
    auto_map(poisoned)
    command = [sys.executable, "-m", "mlx_quant.cli", "generate", str(poisoned.path), "--prompt", "-", "-m", "1"]
    done = subprocess.run(
        command, env=environment(), input="y\ny\ny\n", capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, "untrusted-code" in done.stderr) == (1, True), done.stderr
    assert not canary.exists()


def test_code_that_is_trusted_runs(poisoned: Any, canary: Path) -> None:
    """So the canaries of the other tests would sing."""
    auto_map(poisoned)
    files = Checkpoint.open(poisoned.path).files
    load_tokenizer(files, {"trust_remote_code": True}, None)
    assert canary.exists()


def test_a_config_of_code_does_not_run(poisoned: Any, canary: Path, tmp_path: Path) -> None:
    poisoned.configure(auto_map={"AutoConfig": "evil.EvilConfig", "AutoTokenizer": ["evil.Evil", None]})
    load(poisoned.path)
    convert(poisoned.path, tmp_path / "out", progress=False)
    assert "auto_map" not in json.loads((tmp_path / "out" / "config.json").read_text())
    assert not canary.exists()


def test_a_model_of_code_is_refused(poisoned: Any, canary: Path, tmp_path: Path) -> None:
    poisoned.configure(model_file="evil.py")
    for action in (lambda: load(poisoned.path), lambda: convert(poisoned.path, tmp_path / "out", progress=False)):
        error = refusal(action)
        assert (error.code, error.where) == ("untrusted-code", "config.json: model_file")
    assert not canary.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["tool_parser_type", "chat_template_type"])
@pytest.mark.parametrize("name", ["evil", "..models.llama", "os", "json.tool", 7])
def test_a_parser_by_name_is_mlx_lms_or_nobodys(poisoned: Any, canary: Path, key: str, name: Any) -> None:
    poisoned.write_json(poisoned.json("tokenizer_config.json") | {key: name}, "tokenizer_config.json")
    files = Checkpoint.open(poisoned.path).files
    error = refusal(lambda: load_tokenizer(files, None, None))
    assert error.code in ("bad-tokenizer", "bad-config-value")
    assert not canary.exists()


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.mkdir('CANARY') }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 1 / 0 }}",
        "{% for",
    ],
)
def test_a_chat_template_reaches_nothing_and_ends(
    copy: Copy, canary: Path, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_chat_prompt.__globals__, "_TEMPLATE_SECONDS", 1)
    source = copy(GPTQ)
    config = source.json("tokenizer_config.json") | {"chat_template": template.replace("CANARY", str(canary))}
    source.write_json(config, "tokenizer_config.json")
    result = CliRunner().invoke(app, ["generate", str(source.path), "-p", "x", "-m", "1", "--chat"])
    assert (result.exit_code, "bad-tokenizer" in result.stderr) == (1, True), result.output
    assert not canary.exists()


def test_a_conversion_takes_nothing_along_that_could_run(poisoned: Any, canary: Path, tmp_path: Path) -> None:
    report = convert(poisoned.path, tmp_path / "out", progress=False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("config.json", "model.safetensors", "model.safetensors.index.json"),
        *("tokenizer.json", "tokenizer_config.json"),
    ]
    assert any("evil.py" in text for text in report.warnings)
    assert not canary.exists()


@pytest.mark.parametrize("data", [pickle.dumps({"a": 1}), b"\x7fELF\x02", b"#!/bin/sh\n", b"PK\x03\x04"])
def test_a_program_under_the_name_of_a_tokenizer(copy: Copy, tmp_path: Path, data: bytes) -> None:
    source = copy(GPTQ)
    (source.path / "tokenizer.model").write_bytes(data)
    error = refusal(lambda: convert(source.path, tmp_path / "out", progress=False))
    assert (error.code, error.where) == ("untrusted-code", "tokenizer.model")
    assert not (tmp_path / "out").exists()


def test_a_folder_in_the_shape_of_a_snapshot_is_a_folder(copy: Copy, tmp_path: Path) -> None:
    """Whoever sends an archive of that shape chooses where its links lead."""
    snapshot = hub_cache(copy(GPTQ).path, tmp_path / "cache")
    assert refusal(lambda: Checkpoint.open(snapshot)).code == "unsafe-path"
    assert Checkpoint.open(snapshot, cache_dir=tmp_path / "cache").modules


def test_a_copy_of_the_cache_is_read_where_its_blobs_are_named_by_digests(copy: Copy, tmp_path: Path) -> None:
    snapshot = hub_cache(copy(GPTQ).path, tmp_path / "elsewhere")
    blobs = snapshot.parent.parent / "blobs"
    for link in snapshot.iterdir():
        blob = blobs / sha256(link.read_bytes()).hexdigest()
        blob.write_bytes(link.read_bytes())
        link.unlink()
        link.symlink_to(Path("..", "..", "blobs", blob.name))
    assert Checkpoint.open(snapshot).modules
    blobs.rename(tmp_path / "real")
    blobs.symlink_to(tmp_path / "real")
    assert refusal(lambda: Checkpoint.open(snapshot)).code == "unsafe-path"


@pytest.mark.parametrize("target", ["../../../../secret", "../../refs/main", "../../../models--other--repo/blobs/0"])
def test_a_link_in_the_cache_leads_to_its_own_blobs_only(copy: Copy, tmp_path: Path, target: str) -> None:
    snapshot = hub_cache(copy(GPTQ).path, tmp_path / "cache")
    other = tmp_path / "cache" / "models--other--repo" / "blobs"
    other.mkdir(parents=True)
    for place in (tmp_path / "secret", other / "0"):
        place.write_text("{}")
    (snapshot / "generation_config.json").unlink(missing_ok=True)
    (snapshot / "generation_config.json").symlink_to(target)
    error = refusal(lambda: Checkpoint.open(snapshot, cache_dir=tmp_path / "cache"))
    assert (error.code, error.where) == ("unsafe-path", "generation_config.json")


@pytest.mark.parametrize("name", ["tokenizer.json", "special_tokens_map.json", "chat_template.jinja", "vocab.txt"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_tokenizer_file_that_is_no_file(copy: Copy, tmp_path: Path, name: str, kind: str) -> None:
    """transformers would follow the link, and wait for the pipe."""
    source = copy(GPTQ)
    (source.path / name).unlink(missing_ok=True)
    (tmp_path / "secret").write_text("{}")
    if kind == "folder":
        (source.path / name / "inside").mkdir(parents=True)
    elif kind == "link":
        (source.path / name).symlink_to(tmp_path / "secret")
    else:
        os.mkfifo(source.path / name)
    files = Checkpoint.open(source.path).files
    if kind == "folder" and name != "tokenizer.json":
        load_tokenizer(files, None, None)
        return
    expected = {"link": "unsafe-path", "pipe": "missing-file", "folder": "bad-tokenizer"}[kind]
    assert refusal(lambda: load_tokenizer(files, None, None)).code == expected


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "quantize_config.json"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(copy: Copy, name: str) -> None:
    source = copy(GPTQ)
    (source.path / name).unlink()
    os.mkfifo(source.path / name)
    error = refusal(lambda: Checkpoint.open(source.path))
    assert (error.code, error.where) == ("missing-file", name)


ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202egnp.\x9b31m\r\n"


def test_names_command_no_terminal(copy: Copy) -> None:
    source = copy(GPTQ)
    source.rewrite(lambda tensors: tensors.update({f"model.{ESCAPES}.weight": tensors["model.norm.weight"].clone()}))
    (source.path / f"{ESCAPES}.safetensors").write_bytes(b"")
    (source.path / f"{ESCAPES}.py").write_text("")
    for arguments in (["inspect", str(source.path)], ["convert", str(source.path), str(source.path / ESCAPES)]):
        result = CliRunner().invoke(app, arguments)
        assert "owned" in result.output
        assert not set("\x1b\x07\u202e\x9b\r") & set(result.output)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_model_commands_no_terminal(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it generates is shown with escapes there, and goes into a file as it is."""
    said = SimpleNamespace(text=ESCAPES, generation_tps=1.0, peak_memory=1.0, prompt_tokens=1, generation_tokens=1)
    monkeypatch.setattr("mlx_lm.stream_generate", lambda *_, **__: iter([said]))
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    _stream(None, None, [0], 1, 0.0)
    written = capsys.readouterr().out
    assert "owned" in written
    assert bool(set("\x1b\x07\u202e\x9b") & set(written)) != is_terminal


@pytest.mark.parametrize("key", ["quant_method", "checkpoint_format", "bits"])
def test_values_command_no_terminal(copy: Copy, key: str) -> None:
    source = copy(GPTQ)
    source.requantize_config(**{key: ESCAPES})
    error = refusal(lambda: Checkpoint.open(source.path))
    assert "owned" in str(error)
    assert str(error).isprintable()
    assert printable(error.message) == error.message


def test_a_message_is_no_longer_than_a_page() -> None:
    error = MalformedCheckpoint("bad-file", "x" * 10**6, where="y" * 10**6)
    assert len(str(error)) < 5000


OBJECTS = {
    "auto_map",
    "quantization",
    "quantization_config",
    "rope_scaling",
    "rope_parameters",
    "rope_theta",
    "text_config",
}


def test_a_value_of_another_type_is_refused_at_the_door(copy: Copy) -> None:
    """Each key of config.json that anything here depends on, in the config and in its text_config."""
    schema = json.loads((ROOT / "mlx_quant/files/schemas/config.json").read_text())
    source = copy(GPTQ)
    sound = source.json()
    assert len(schema["properties"]) > 30
    for key in schema["properties"]:
        value = "x" if key in OBJECTS else {"": [0.5]}
        for config, place in (({key: value}, key), ({"text_config": {key: value}}, f"text_config.{key}")):
            source.write_json(sound | config, "config.json")
            error = refusal(lambda: Checkpoint.open(source.path))
            assert (type(error), error.code) == (MalformedCheckpoint, "bad-config-value"), place
            assert error.where == f"config.json: {place}"


# Neither ends in anybody's lifetime on a name of thirty characters.
FOR_EVER = [r"(?:\w|\.|.)*(?:\w|\.|.)*(?<=Z)$", r"(?:(\w|\.)|(.))*(?<![a-z])$"]


@pytest.mark.parametrize("pattern", FOR_EVER)
def test_an_expression_that_would_run_for_ever(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Patterns.__init__.__globals__, "_SECONDS", 0.2)
    compiled = Patterns().compiled(pattern, "dynamic")
    error = refusal(lambda: compiled.match("model.layers.0.self_attn.q_proj"))
    assert (error.code, error.where) == ("bad-config-value", "dynamic")


AUTO_ROUND = {"quant_method": "auto-round", "bits": 4, "group_size": 32, "packing_format": "auto_round:auto_gptq"}
GROUPED = {"quant_method": "compressed-tensors", "format": "pack-quantized"}
WEIGHTS = {"num_bits": 4, "group_size": 32, "strategy": "group", "symmetric": True}


def ruled(pattern: str) -> dict[str, tuple[dict[str, Any], str]]:
    """Configurations of every dialect that takes expressions for modules, and what each calls the place."""
    return {
        "gptq": ({"quant_method": "gptq", "bits": 4, "group_size": 32, "dynamic": {pattern: {"bits": 4}}}, "dynamic"),
        "auto-round": (AUTO_ROUND | {"extra_config": {pattern: {"bits": 8}}}, "extra_config"),
        "compressed-tensors": (
            GROUPED | {"config_groups": {"one": {"targets": [f"re:{pattern}"], "weights": WEIGHTS}}},
            "config_groups",
        ),
    }


@pytest.mark.parametrize("pattern", FOR_EVER)
@pytest.mark.parametrize("dialect", list(ruled("")))
def test_in_every_dialect_that_has_them(dialect: str, pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Patterns.__init__.__globals__, "_SECONDS", 0.2)
    config, place = ruled(pattern)[dialect]
    error = refusal(lambda: schemes_of(config).scheme("model.layers.0.self_attn.q_proj"))
    assert (error.code, str(error.where).startswith(place)) == ("bad-config-value", True)
    assert "to match" in error.message


def test_rules_for_thousands_of_modules_by_name_are_no_matter_of_time() -> None:
    """AutoRound looks for each of its names in each module: a mixture of 128 experts with a rule for each router."""
    names = {f"model.layers.{layer}.mlp.gate": {"bits": 16} for layer in range(48)}
    found = schemes_of(AUTO_ROUND | {"extra_config": names})
    modules = [f"model.layers.{n % 48}.mlp.experts.{n // 48}.up_proj" for n in range(48 * 128 * 3)]
    assert {found.scheme(module).bits for module in modules} == {4}


def test_all_expressions_share_their_time(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Patterns.__init__.__globals__, "_SECONDS", 0.2)
    source = copy(GPTQ)
    source.requantize_config(dynamic={FOR_EVER[1]: {"bits": 4}})
    error = refusal(lambda: Checkpoint.open(source.path))
    assert (error.code, error.where) == ("bad-config-value", f"dynamic: {FOR_EVER[1]}")


@pytest.mark.parametrize(
    "pattern", ["(" * 5000, "x" * 10**6, "a{4294967296}", "a{e<=3}", "[[:alpha:]]", "(?P<a>x)(?P<a>y)", "(?R)"]
)
def test_what_is_no_expression_of_pythons(copy: Copy, pattern: str) -> None:
    source = copy(GPTQ)
    source.requantize_config(dynamic={pattern: {"bits": 4}})
    error = refusal(lambda: Checkpoint.open(source.path))
    assert (error.code, "dynamic: " in str(error.where)) == ("bad-config-value", True)


@pytest.mark.parametrize("key", ["num_hidden_layers", "n_layers"])
@pytest.mark.parametrize("claimed", [100, 4097, 100_000, 10**30])
def test_layers_that_nothing_fills_are_not_built(copy: Copy, key: str, claimed: int) -> None:
    source = copy(GPTQ)
    source.configure(**{key: claimed})
    error = refusal(lambda: convert(source.path, source.path.parent / "out", progress=False))
    assert (error.code, error.where) == (
        "config-contradiction" if claimed == 100 else "bad-config-value",
        f"config.json: {key}",
    )


@pytest.mark.parametrize(
    ("key", "claimed"),
    [
        ("num_attention_heads", 65_537),
        ("num_key_value_heads", 2**31),
        ("moe_num_experts", 16_385),
        ("altup_num_inputs", 4097),
        ("num_kv_reuse_layers", 4097),
    ],
)
def test_counts_beyond_any_model_are_refused_at_the_door(copy: Copy, key: str, claimed: int) -> None:
    """Models of mlx-lm make lists of so many before they look at a tensor."""
    source = copy(GPTQ)
    source.configure(**{key: claimed})
    error = refusal(lambda: Checkpoint.open(source.path))
    assert (error.code, error.where) == ("bad-config-value", f"config.json: {key}")


def test_a_model_that_would_be_built_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """DBRX has a list of its experts, as many as a mapping inside the config says."""
    from transformers import DbrxConfig

    config = DbrxConfig(n_layers=1).to_dict()
    config["attn_config"]["rope_theta"] = 10000.0
    assert Architecture.of(config) is not None
    endless = config | {"ffn_config": config["ffn_config"] | {"moe_num_experts": 10**9}}
    monkeypatch.setitem(Architecture.of.__func__.__globals__, "_SECONDS", 0.3)
    error = refusal(lambda: Architecture.of(endless))
    assert (type(error), error.code, error.where) == (MalformedCheckpoint, "bad-config-value", "config.json")
    assert sys.getprofile() is None


class Dropped:
    """What is raised while it goes is swallowed."""

    def __del__(self) -> None:
        time.sleep(0.2)


@pytest.mark.parametrize("swallows", [Dropped, gc.collect])
def test_a_clock_that_is_swallowed_is_heard_again(
    swallows: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profiler that raises is removed, and a model was built on until the process was killed."""
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    before = sys.unraisablehook
    stop = time.monotonic() + 10

    def build() -> None:
        with architecture._clocked(0.05):
            while time.monotonic() < stop:
                swallows()

    gc.callbacks.append(lambda *_: time.sleep(0.2))
    try:
        with pytest.raises(architecture._Late):
            build()
    finally:
        gc.callbacks.pop()
    assert (complaints, sys.unraisablehook, sys.getprofile()) == ([], before, None)


def test_the_clock_does_not_take_the_place_of_a_profiler() -> None:
    seen = []
    sys.setprofile(lambda *told: seen.append(told[1]))
    mine = sys.getprofile()
    try:
        Architecture.of(json.loads((stored(GPTQ) / "config.json").read_text()))
        assert sys.getprofile() is mine
    finally:
        sys.setprofile(None)
    assert "call" in seen
