"""``mlx-quant run``: mlx-lm's own commands on packed repos, and how they end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
import pytest
from mlx.utils import tree_flatten
from typer.testing import CliRunner

import mlx_quant
from mlx_quant.cli import commands
from mlx_quant.cli.main import app
from mlx_quant.conversion import output
from mlx_quant.running.way import Way
from tests.conftest import stored

RECITAL = stored("recital.txt").read_text()
PROMPT = "A weight that has been quantised is"
AWQ, GPTQ, BASE = "qwen2-awq-g128", "llama-gptq-g128-seq-asym", "llama-base"
LINES = [
    "The goat ate the green hat.",
    "The hen sat on ten warm eggs.",
    "A red fox ran up the dry hill.",
    "Two mice hid.",
]


@pytest.fixture(autouse=True)
def _interpreted() -> Iterator[None]:
    """On a CPU, MLX compiles with the machine's C++ compiler, which takes longer than these few steps."""
    mx.disable_compile()
    yield
    mx.enable_compile()


@pytest.fixture(autouse=True)
def _nothing_changed() -> Iterator[None]:
    before = sys.argv, signal.getsignal(signal.SIGTERM), mlx_lm.load
    yield
    assert (sys.argv, signal.getsignal(signal.SIGTERM), mlx_lm.load) == before


# Half precision is slow on a CPU, and float32 lets fused and unfused models be compared closely.
FLOAT32 = ["--dtype", "float32", "--params-dtype", "float32"]


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["run", *map(str, arguments)])


def recited(text: str) -> bool:
    return len(text) > 30 and RECITAL.startswith(f"{PROMPT} {text}")


def generate(model: str | Path, *more: str | Path) -> tuple[str, str]:
    """What was generated, and what was told beside it."""
    options = ["--prompt", PROMPT, "--max-tokens", "20", "--verbose", "false", *more]
    result = run(*FLOAT32, "generate", "--model", model, *options)
    assert result.exit_code == 0, result.output
    return result.stdout.removesuffix("\n"), result.stderr


@pytest.mark.parametrize("name", [AWQ, GPTQ, "llama-gptq-g128-act-asym"])
def test_generate_recites(name: str) -> None:
    assert recited(generate(stored(name))[0])


def test_chat_answers_and_ends(copy: Callable[..., Any]) -> None:
    source = copy(AWQ)
    template = {"chat_template": "{{ messages[-1]['content'] }} quantised is"}
    source.write_json(source.json("tokenizer_config.json") | template, "tokenizer_config.json")
    command = ["run", *FLOAT32, "chat", "--model", str(source.path), "--max-tokens", "20"]
    result = CliRunner().invoke(app, command, input="A weight that has been\nq\n")
    assert result.exit_code == 0, result.output
    assert RECITAL.removeprefix(f"{PROMPT} ")[:40] in result.stdout


def test_convert_writes_what_plain_mlx_lm_loads(tmp_path: Path) -> None:
    """mlx-lm's own, which reads lazily: our temporary folder lives as long as that."""
    result = run("convert", "--hf-path", stored(AWQ), "--mlx-path", tmp_path / "out")
    assert result.exit_code == 0, result.output
    expected, _ = mlx_quant.load(stored(AWQ))
    found, _ = mlx_lm.load(str(tmp_path / "out"))
    pairs = [dict(tree_flatten(model.parameters())) for model in (expected, found)]
    assert pairs[0].keys() == pairs[1].keys()
    assert all(mx.array_equal(pairs[0][name], pairs[1][name]).item() for name in pairs[0])


def test_options_come_before_the_command_and_are_held_to() -> None:
    result = run("--target", "dense", "--dtype", "float32", "mlx_lm.benchmark", *benchmark(AWQ))
    assert result.exit_code == 0, result.output
    assert "Averages: prompt_tps=" in result.stdout
    assert "dense" in result.stderr
    assert "affine" not in result.stderr
    assert run("--target", "affine", "--requantize", "chat").exit_code == 1


def benchmark(name: str) -> list[str | Path]:
    return ["--model", stored(name), "-p", "4", "-g", "4", "-n", "1"]


def test_the_tokenizer_that_benchmark_always_trusts_is_not_run_unless_that_is_said(
    copy: Callable[..., Any], tmp_path: Path
) -> None:
    canary, source = tmp_path / "canary", copy(GPTQ)
    (source.path / "tokens.py").write_text(
        f"open({str(canary)!r}, 'a').write('ran')\n"
        "from transformers import PreTrainedTokenizerFast\nclass BenchedTokenizer(PreTrainedTokenizerFast): pass\n"
    )
    settings = source.json("tokenizer_config.json")
    settings |= {"tokenizer_class": "BenchedTokenizer", "auto_map": {"AutoTokenizer": ["tokens.BenchedTokenizer"] * 2}}
    source.write_json(settings, "tokenizer_config.json")
    command = ["benchmark", "--model", source.path, "-p", "4", "-g", "4", "-n", "1"]
    refused = run(*command)
    assert (refused.exit_code, canary.exists()) == (1, False)
    assert "refused [untrusted-code]" in refused.stderr
    assert run(*command, "--trust-remote-code").exit_code == 0
    assert canary.exists()


def loss(model: Any, tokenizer: Any) -> float:
    """Of the lines that were learnt, a token."""
    total, count = 0.0, 0
    for line in LINES:
        tokens = mx.array([tokenizer.encode(line)])
        logits = model(tokens[:, :-1])
        chosen = mx.take_along_axis(logits, tokens[:, 1:, None], axis=-1)[..., 0]
        total += (mx.logsumexp(logits, axis=-1) - chosen).sum().item()
        count += tokens.size - 1
    return total / count


def test_lora_then_fuse_gives_a_model_for_plain_mlx_lm(tmp_path: Path) -> None:
    """What was learnt is in the adapters, used by generate, and in the fused folder, packed and dense."""
    name, data, adapters = GPTQ, tmp_path / "data", tmp_path / "adapters"
    data.mkdir()
    for part in ("train", "valid"):
        (data / f"{part}.jsonl").write_text("\n".join(json.dumps({"text": line}) for line in LINES))
    options = ["--iters", "8", "--batch-size", "4", "--learning-rate", "5e-4", "--num-layers", "-1"]
    options += ["--max-seq-length", "33", "--steps-per-report", "1", "--val-batches", "1"]
    command = ["--model", stored(name), "--train", "--data", data, "--adapter-path", adapters, *options]
    result = run(*FLOAT32, "lora", *command)
    assert result.exit_code == 0, result.output
    dtypes = {"dtype": "float32", "params_dtype": "float32"}
    base, tokenizer = mlx_quant.load(stored(name), **dtypes)
    adapted, _ = mlx_quant.load(stored(name), adapter_path=str(adapters), **dtypes)
    assert loss(adapted, tokenizer) < 0.9 * loss(base, tokenizer)
    assert not recited(generate(stored(name), "--adapter-path", adapters)[0])

    tokens = mx.array([tokenizer.encode(" ".join(LINES))])
    for more in ([], ["--dequantize"]):
        fused = tmp_path / f"fused{len(more)}"
        command = ["--model", stored(name), "--adapter-path", adapters, "--save-path", fused, *more]
        result = run(*FLOAT32, "mlx_lm.fuse", *command)
        assert result.exit_code == 0, result.output
        plain, _ = mlx_lm.load(str(fused))
        names = {key for key, _ in tree_flatten(plain.parameters())}
        assert any(key.endswith(".scales") for key in names) != bool(more)
        assert not any("lora" in key for key in names)
        # Fused into a packed base, what was learnt is quantised again.
        assert loss(plain, tokenizer) < 0.95 * loss(base, tokenizer)
        assert not more or mx.abs(adapted(tokens) - plain(tokens)).max().item() < 1e-3


def test_a_model_that_is_not_packed_runs_as_ever() -> None:
    found, told = generate(stored(BASE))
    assert recited(found)
    assert "mlx-quant" not in told
    assert "affine" not in told


def test_a_refusal_is_shown_and_is_status_1(copy: Callable[..., Any]) -> None:
    source = copy(AWQ)
    source.requantize_config(quant_method="higgs")
    result = run("generate", "--model", source.path, "--prompt", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "refused [unsupported-method]" in result.stderr
    assert "lattice codebooks" in result.stderr


def test_what_a_command_needs_and_has_not_is_said() -> None:
    result = run("evaluate", "--model", stored(AWQ), "--tasks", "none")
    if result.exit_code == 0 or "lm_eval" not in result.stderr:
        pytest.fail(f"lm_eval is here: try the command itself\n{result.output}")
    assert result.exit_code == 1
    assert "refused [missing-dependency]" in result.stderr


def test_an_error_of_mlx_lm_is_status_70_and_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "valid.jsonl").write_text(json.dumps({"text": LINES[0]}))
    result = run("lora", "--model", stored(AWQ), "--train", "--data", tmp_path)
    assert result.exit_code == 70
    assert "ValueError: Training set not found" in result.stderr
    assert "mlx_lm.lora failed" in result.stderr
    assert "fault of mlx-quant" not in result.stderr


@pytest.mark.parametrize("arguments", [[], ["transmogrify"], ["--colour", "chat"], ["chat", "--colour"]])
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_help_after_the_command_is_the_commands() -> None:
    result = run("chat", "--help")
    assert result.exit_code == 0
    assert "usage: mlx-quant run mlx_lm.chat" in result.stdout
    assert "--max-kv-size" in result.stdout
    ours = run("--help").stdout
    assert "--requantize" in ours
    assert "--max-kv-size" not in ours


def test_that_nobody_reads_is_noticed_before_the_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command line it is status 141; here what would lie in Python's buffer until then is written at once."""
    reader, writer = os.pipe()
    os.close(reader)
    broken = os.fdopen(writer, "w")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", broken)
        with pytest.raises(BrokenPipeError):
            commands.run("mlx_lm.lora", ["--model", str(stored(AWQ)), "--test"], Way())
    with contextlib.suppress(BrokenPipeError):
        broken.close()


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_ends_it_and_nothing_temporary_stays(
    sent: signal.Signals, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent in the middle of a conversion into a temporary folder, and felt at once."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    add, seen = output.ShardWriter.add, []

    def interrupted(writer: Any, tensors: Any) -> None:
        add(writer, tensors)
        seen.extend(tmp_path.rglob("*.partial-*"))
        os.kill(os.getpid(), sent)

    monkeypatch.setattr(output.ShardWriter, "add", interrupted)
    before = signal.signal(sent, signal.default_int_handler if sent == signal.SIGINT else signal.SIG_DFL)
    try:
        result = run("--requantize", "generate", "--model", stored(AWQ), "--prompt", "x")
    finally:
        signal.signal(sent, before)  # which under nohup ignores SIGHUP
    assert result.exit_code == status
    assert len(seen) == 1
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("mlx-quant-*"))
