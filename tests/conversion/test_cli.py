"""The command line as a person or a script meets it: what is printed where, exit statuses, and what is left behind."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import pytest
import torch
from mlx.utils import tree_flatten
from typer.testing import CliRunner

import mlx_quant
from mlx_quant.cli.main import _nbytes, app
from tests.conftest import environment, slowed, stored
from tests.conversion import tiny_models

ROOT = Path(__file__).parents[2]
RECITAL = stored("recital.txt").read_text()
PROMPT = "A weight that has been quantised is"


def run(*arguments: str | Path, stdin: str | None = None) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def process(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mlx_quant.cli", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, **{"env": environment()} | options, stdout=pipe, stderr=pipe, text=True)


def recited(stdout: str) -> bool:
    """mlx-lm's detokenizer drops the first space of a continuation."""
    return len(stdout) > 60 and RECITAL.startswith(f"{PROMPT} {stdout.removesuffix(chr(10))}")


def parsed(result: Any) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


GROUPS = {"gall": -1, "g32": 32, "g128": 128}


def test_inspect_json_says_what_the_files_hold(packed_name: str) -> None:
    """Held to the name of the checkpoint, which says how it was quantised, and to its config."""
    found = parsed(run("inspect", stored(packed_name), "--json"))
    config = json.loads((stored(packed_name) / "config.json").read_text())
    parts = packed_name.split("-")
    ordered, bits = "act" in parts, next((int(part[0]) for part in parts if part.endswith("bit")), 4)
    scheme, total = found["scheme"], 7 * config["num_hidden_layers"]
    assert (scheme["method"], scheme["bits"], found["model_type"]) == (parts[1], bits, parts[0])
    assert scheme["group_size"] == next(GROUPS[part] for part in parts if part in GROUPS)
    assert scheme["sym"] is ("sym" in parts)
    assert {group["act_order"] for group in found["modules"]} == {ordered and "gall" not in parts}
    assert sum(group["count"] for group in found["modules"]) == total
    assert found["tied"] == config["tie_word_embeddings"]
    down = next(group for group in found["modules"] if group["pattern"] == "model.layers.*.mlp.down_proj")
    assert down["shape"] == [config["hidden_size"], config["intermediate_size"]]
    dense, affine, *permuted = found["outcomes"]
    assert (dense["target"], dense["dense"], dense["affine"]) == ("dense", total, 0)
    plain = not ordered or "gall" in parts
    assert (affine["affine"], affine["dense"]) == ((total, 0) if plain else (0, total))
    packed = [(one["target"], one["permute"], one["affine"], one["permuted"]) for one in permuted]
    assert packed == ([] if plain else [("affine", True, total, total)])
    assert found["auto"] == "affine"
    converts = [command.partition(" --target ")[2] for command in found["answer"]["next"][1:]]
    assert converts == (["affine"] if plain else ["dense", "affine --permute"])


def test_the_keys_of_the_json_are_a_promise() -> None:
    found = parsed(run("inspect", stored("llama-awq-g32"), "--json"))
    scheme = {"method", "dialect", "packing", "bits", "group_size", "layout", "sym", "desc_act", "producer"}
    assert found.keys() == {
        *("source", "commit", "read", "model_type", "in_mlx_lm", "scheme", "sources", "modules", "plain", "lm_head"),
        *("tied", "shards", "nbytes", "auto", "outcomes", "warnings", "answer"),
    }
    assert found["answer"].keys() == {"runs", "why", "machine", "next"}
    assert found["scheme"].keys() >= scheme
    modules = {"pattern", "count", "shape", "bits", "group_size", "act_order", "scales", "bias", "packing", "block"}
    assert found["modules"][0].keys() == modules
    outcome = {"target", "refused", "dense", "affine", "nbytes", "not_affine", "dropped", "notes", "memory", "exact"}
    outcome |= {"permute", "permuted"}
    assert all(found.keys() == outcome for found in found["outcomes"])


@pytest.mark.parametrize("target", ["dense", "affine"])
def test_the_size_that_inspect_foretells_is_what_convert_writes(target: str, tmp_path: Path) -> None:
    source = stored("qwen2-gptq-g32-seq-asym")
    found = parsed(run("inspect", source, "--json"))
    outcome = next(outcome for outcome in found["outcomes"] if outcome["target"] == target)
    done = parsed(run("convert", source, tmp_path / "out", "--target", target, "--json"))
    nbytes = sum(array.nbytes for file in done["files"] for array in mx.load(str(tmp_path / "out" / file)).values())
    assert outcome["nbytes"] == nbytes == done["nbytes"]
    assert (outcome["dense"], outcome["affine"]) == (len(done["dense"]), len(done["affine"]))


@pytest.mark.parametrize("target", ["dense", "affine"])
def test_the_memory_that_inspect_foretells_is_what_the_model_holds(target: str, tmp_path: Path) -> None:
    """What mlx-lm leaves out as it loads, the part that sees, lies on the disk only."""
    seen = {"vision_tower.patch.weight": torch.zeros(64, 48, dtype=torch.half)}
    tiny_models.write(tmp_path / "source", tiny_models.wrapper("gemma3"), besides=seen)
    found = parsed(run("inspect", tmp_path / "source", "--json"))
    outcome = next(outcome for outcome in found["outcomes"] if outcome["target"] == target)
    done = parsed(run("convert", tmp_path / "source", tmp_path / "out", "--target", target, "--json"))
    model, _ = mlx_lm.utils.load_model(tmp_path / "out")
    held = sum(array.nbytes for _, array in tree_flatten(model.parameters()))
    assert outcome["memory"] == done["memory"] == held == done["nbytes"] - 64 * 48 * 2
    assert outcome["exact"] == done["exact"]


EXACT = {
    ("llama-gptq-g128-seq-asym", "dense"): "14 modules dense: each weight is, bit for bit, what the format means",
    ("llama-gptq-g128-seq-asym", "affine"): "a zero point becomes a bias, -zero x scale, which rounds once",
    ("qwen2-gptq-gall-seq-sym", "affine"): "codes and scales are kept, as are the biases if it is symmetric",
    ("llama-gptq-g128-seq-asym", "affine", "--params-dtype", "float32"): "kept, and nothing is rounded",
    ("llama-gptq-g128-seq-asym", "affine", "--params-dtype", "bfloat16"): "codes are kept, scales rounded to bf",
    (
        "llama-gptq-g128-act-asym",
        "affine",
        "--dtype",
        "bfloat16",
    ): "14 modules dense: each weight is rounded once, to b",
}


@pytest.mark.parametrize("case", EXACT)
def test_how_exact_it_is_is_said_and_so(case: tuple[str, ...], tmp_path: Path) -> None:
    """Held to the numbers: the weights of the target against those of the reference, in float64."""
    name, target, *options = case
    report = parsed(run("convert", stored(name), tmp_path / "out", "--target", target, *options, "--json"))
    assert EXACT[case] in " ".join(report["exact"])
    found = mx.load(str(tmp_path / "out" / report["files"][0]))
    module = "model.layers.0.mlp.up_proj"
    due = mlx_quant.Checkpoint.open(stored(name)).dequantize(module, mx.float32)
    if target == "affine" and report["affine"]:
        parameters = json.loads((tmp_path / "out" / "config.json").read_text())["quantization"]
        parts = (found[f"{module}.{leaf}"] for leaf in ("scales", "biases"))
        scales, biases = (part.astype(mx.float32) for part in parts)
        weight = mx.dequantize(
            found[f"{module}.weight"], scales, biases, parameters["group_size"], parameters["bits"], dtype=mx.float32
        )
    else:
        weight = found[f"{module}.weight"].astype(mx.float32)
        due = due if options else mlx_quant.Checkpoint.open(stored(name)).dequantize(module).astype(mx.float32)
    exact = "rounds once" not in EXACT[case] and "rounded" not in EXACT[case].replace("nothing is rounded", "")
    assert mx.array_equal(weight, due).item() == exact


@pytest.mark.parametrize("target", ["dense", "affine"])
def test_two_half_precisions_are_kept_and_the_faster_way_is_said(
    copy: Callable[..., Any], tmp_path: Path, target: str
) -> None:
    """By default no value changes; the dtype that is named leaves the decoded weights as they are."""
    source = copy("llama-awq-g32")
    source.rewrite(
        lambda tensors: tensors.update(
            {name: each.bfloat16() for name, each in tensors.items() if name.endswith(("norm.weight", "tokens.weight"))}
        )
    )
    reports, found = [], []
    for options in ([], ["--dtype", "float16"]):
        out = tmp_path / f"out{len(reports)}"
        reports.append(parsed(run("convert", source.path, out, "--target", target, *options, "--json")))
        found.append(mx.load(str(out / reports[-1]["files"][0])))
    kept, cast = found
    advice = "One dtype for all is faster: float16 leaves the decoded weights as they are"
    assert [any(advice in note for note in report["notes"]) for report in reports] == [True, False]
    assert kept["model.norm.weight"].dtype == mx.bfloat16
    assert cast["model.norm.weight"].dtype == mx.float16
    decoded = [name for name in kept if ".mlp." in name or ".self_attn." in name]
    assert all(mx.array_equal(kept[name], cast[name]).item() for name in decoded)
    assert {kept[name].dtype for name in decoded} <= {mx.float16, mx.uint32}
    assert reports[0]["exact"] == reports[1]["exact"]


def test_inspect_answers_first_whether_it_runs_and_what_to_type_next() -> None:
    output = run("inspect", stored("qwen2-awq-g32")).stdout.splitlines()
    assert output[0] == str(stored("qwen2-awq-g32"))
    assert re.fullmatch(r"  runs here  yes: mlx-lm [\d.]+ has qwen2, and awq_gemm is enabled", output[1])
    assert re.fullmatch(r"  size       affine: ([\d.]+ [kM]B) on disk, \1 in memory", output[2])
    start = next(number for number, line in enumerate(output) if line.startswith("  next"))
    commands = [shlex.split(line[12:]) for line in output[start : start + 2]]
    assert [command[0] for command in commands] == ["mlx-quant"] * 2
    result = run(*commands[0][1:], "--max-tokens", "4")
    assert result.exit_code == 0, result.output
    assert "Generation: 4 tokens" in result.stdout


def test_the_next_command_keeps_to_what_was_asked(copy: Callable[..., Any]) -> None:
    folder = copy("llama-awq-g32", "a folder")
    settings = folder.json("tokenizer_config.json") | {"chat_template": "{{ messages[0]['content'] }}"}
    folder.write_json(settings, "tokenizer_config.json")
    plain = parsed(run("inspect", folder.path, "--json"))["answer"]["next"]
    assert plain[0] == f"mlx-quant run mlx_lm.chat --model '{folder.path}'"
    assert plain[1] == f"mlx-quant convert '{folder.path}' 'a folder-mlx' --target affine"
    more = parsed(run("inspect", folder.path, "--candidates", "--offline", "--json"))["answer"]["next"]
    prompt = "--prompt 'Once upon a time' --chat"
    assert more[0] == f"mlx-quant generate '{folder.path}' {prompt} --offline --candidates"
    assert more[1].endswith("--target affine --offline --candidates")


def test_why_it_does_not_run_here(copy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy("llama-awq-g32")
    monkeypatch.setattr("mlx_quant.cli.inspection.machine_memory", lambda: 100_000)
    answer = parsed(run("inspect", folder.path, "--json"))["answer"]
    assert (answer["runs"], answer["machine"]) == (False, 100_000)
    assert "do not fit into this machine's 100 kB" in answer["why"]
    monkeypatch.undo()
    folder.configure(model_type="llama-of-the-future")
    answer = parsed(run("inspect", folder.path, "--json"))["answer"]
    assert (answer["runs"], "has no model 'llama-of-the-future'" in answer["why"]) == (False, True)
    assert [command.split()[1] for command in answer["next"]] == ["convert"]


def test_inspect_prints_a_table_that_a_pipe_does_not_cut_short() -> None:
    output = run("inspect", stored("llama-gptq-g128-act-asym")).stdout
    for expected in (
        "14 of 14 modules, as the tensors say (desc_act: yes)",
        "config.json: quantization_config; quantize_config.json",
        "model.layers.*.mlp.down_proj",
        "affine, permuted (auto)",
        "they stay packed, and their inputs are put in order",
        "act-order: MLX's packed form has no place for the permutation of its inputs",
    ):
        assert expected in output
    assert "\x1b" not in output


def test_headers_alone_go_by_desc_act_and_say_so(copy: Callable[..., Any]) -> None:
    """The same tensors under another label: the data see through it, headers cannot."""
    folder = copy("llama-gptq-g128-act-asym")
    folder.requantize_config(desc_act=False)
    data, headers = (parsed(run("inspect", folder.path, mode, "--json")) for mode in ("--data", "--headers"))
    assert {group["act_order"] for group in data["modules"]} == {True}
    assert {group["act_order"] for group in headers["modules"]} == {False}
    assert any("headers alone" in text for text in headers["warnings"])
    assert not any("headers alone" in text for text in data["warnings"])


def test_data_are_checked_by_inspect(copy: Callable[..., Any]) -> None:
    folder = copy("llama-awq-g32")
    folder.rewrite(lambda tensors: tensors["model.layers.0.mlp.up_proj.scales"].fill_(float("inf")))
    result = run("inspect", folder.path, "--json")
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert (error["type"], error["code"]) == ("MalformedCheckpoint", "non-finite-scales")
    assert "model.layers.0.mlp.up_proj" in error["where"]
    assert run("inspect", folder.path, "--headers").exit_code == 0


def test_a_refusal_names_code_place_and_remedy() -> None:
    result = run("inspect", stored("llama-base"))
    assert result.exit_code == 1
    assert result.stdout == ""
    for expected in ("refused [not-quantized]", "where: config.json", "load it with mlx_lm"):
        assert expected in result.stderr


@pytest.mark.parametrize("command", ["inspect", "convert"])
def test_a_refusal_in_json(command: str, tmp_path: Path) -> None:
    more = [tmp_path / "out"] if command == "convert" else []
    result = run(command, tmp_path / "nothing", *more, "--json")
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error == {
        "type": "MalformedCheckpoint",
        "code": "missing-file",
        "where": str(tmp_path / "nothing"),
        "message": "no such folder",
    }
    assert not list(tmp_path.iterdir())


def test_convert_writes_what_mlx_lm_loads(tmp_path: Path) -> None:
    from mlx_lm import load

    out = tmp_path / "out"
    result = run("convert", stored("llama-awq-g32"), out, "--target", "affine", "--max-shard-size", "300kB")
    assert result.exit_code == 0, result.output
    assert "0 modules dense, 14 affine" in result.stdout
    assert result.stdout.splitlines()[-1] == f"  next       mlx_lm.generate --model {out} --prompt 'Once upon a time'"
    assert len(list(out.glob("*.safetensors"))) > 1
    assert all(file.stat().st_size < 320_000 for file in out.glob("*.safetensors"))
    model, _ = load(str(out))
    assert model.layers[0].mlp.up_proj.bits == 4


def test_convert_takes_dtypes(tmp_path: Path) -> None:
    options = ["--target", "affine", "--dtype", "bfloat16", "--params-dtype", "float32", "--json"]
    report = parsed(run("convert", stored("llama-awq-g32"), tmp_path / "out", *options))
    found = mx.load(str(tmp_path / "out" / report["files"][0]))
    assert found["model.embed_tokens.weight"].dtype == mx.bfloat16
    assert found["model.layers.0.mlp.up_proj.scales"].dtype == mx.float32


def test_convert_replaces_only_when_told(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    refused = run("convert", stored("llama-awq-g32"), tmp_path, "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["error"]["code"]) == (1, "destination-exists")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
    assert run("convert", stored("llama-awq-g32"), tmp_path, "--overwrite").exit_code == 0
    assert not (tmp_path / "kept.txt").exists()


@pytest.mark.parametrize("target", ["dense", "affine"])
def test_generate_recites(target: str) -> None:
    result = run("generate", stored("llama-gptq-g128-seq-asym"), "--prompt", PROMPT, "-m", "40", "--target", target)
    assert result.exit_code == 0, result.output
    assert recited(result.stdout)
    assert "40 generated" in result.stderr


def test_generate_reads_its_prompt_from_stdin_and_samples_repeatably() -> None:
    options = ["--prompt", "-", "-m", "12", "--temp", "30", "--seed", "7"]
    first, second = (run("generate", stored("llama-awq-g32"), *options, stdin=PROMPT) for _ in range(2))
    assert first.stdout == second.stdout
    greedy = run("generate", stored("llama-awq-g32"), "--prompt", PROMPT, "-m", "12")
    assert first.stdout != greedy.stdout


def test_generate_uses_a_chat_template_where_there_is_one(copy: Callable[..., Any]) -> None:
    refused = run("generate", stored("llama-awq-g32"), "--prompt", PROMPT, "--chat")
    assert refused.exit_code == 2
    assert "no chat template" in refused.stderr
    folder = copy("llama-awq-g32")
    # The recital follows only if the template, which completes the prompt, is applied.
    folder.write_json(
        folder.json("tokenizer_config.json") | {"chat_template": "{{ messages[0]['content'] }} quantised is"},
        "tokenizer_config.json",
    )
    result = run("generate", folder.path, "--prompt", "A weight that has been", "--chat", "-m", "30")
    assert recited(result.stdout)


def test_formats_lists_every_format_once() -> None:
    found = parsed(run("formats", "--json"))
    assert found.keys() == mlx_quant.formats().keys() >= {"gptq", "awq_gemm", "higgs", "hqq"}
    assert (found["awq_gemm"]["status"], found["awq_gemm"]["bits"]) == ("enabled", list(range(2, 9)))
    assert found["higgs"]["status"] == "refused"
    table = run("formats").stdout
    assert all(f"│ {name} " in table for name in found)


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect"],
        ["convert", "here"],
        ["convert", "here", "there", "--target", "sparse"],
        ["convert", "here", "there", "--dtype", "int8"],
        ["convert", "here", "there", "--max-shard-size", "much"],
        ["generate", "here"],
        ["generate", "here", "--prompt", "x", "--max-tokens", "0"],
        ["transmogrify"],
        [],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("text", "nbytes"), [("5GB", 5 * 10**9), ("500 mb", 5 * 10**8), ("2GiB", 2 << 30), ("1.5k", 1500), ("77", 77)]
)
def test_sizes(text: str, nbytes: int) -> None:
    assert _nbytes(text) == nbytes


def test_version() -> None:
    assert run("--version").stdout.strip() == mlx_quant.__version__


def test_stdout_holds_json_and_nothing_else(tmp_path: Path) -> None:
    with process("convert", stored("qwen2-awq-g32"), tmp_path / "out", "--json", "--progress") as running:
        stdout, stderr = running.communicate(timeout=120)
    assert running.returncode == 0, stderr
    assert json.loads(stdout)["target"] == "dense"
    assert "Converting" in stderr
    assert "Warning" not in stderr


@pytest.mark.parametrize(
    ("command", "sent", "status"),
    [
        ("convert", signal.SIGINT, 130),
        pytest.param("generate", signal.SIGINT, 130, marks=pytest.mark.slow),
        ("generate", signal.SIGTERM, 143),
    ],
)
def test_an_interruption_leaves_nothing_behind(command: str, sent: signal.Signals, status: int, tmp_path: Path) -> None:
    """The conversion is made to wait in the middle, so that the signal always finds it at work."""
    work = tmp_path / "work"
    work.mkdir()
    own = environment(slowed(tmp_path, 0.5), TMPDIR=str(work))
    more = [work / "made" / "out", "--max-shard-size", "100kB"] if command == "convert" else ["--prompt", PROMPT]
    more += [] if command == "convert" else ["--requantize"]
    with process(command, stored("llama-awq-g32"), *more, env=own) as running:
        deadline = time.monotonic() + 60
        while not list(work.rglob("*.partial-*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(work.rglob("*.partial-*"))
        running.send_signal(sent)
        _, stderr = running.communicate(timeout=60)
    assert running.returncode == status, stderr
    assert "Traceback" not in stderr
    assert not list(work.iterdir())


def test_the_answer_says_a_packed_form_only_where_one_holds_something() -> None:
    """bitsandbytes' NF4 has none: then what would be written as affine is the dense model once more."""
    folder = ROOT / "fixtures" / "bnb_4bit" / "models" / "qwen2-bnb-nf4-double"
    result = run("inspect", folder)
    answer = result.stdout.partition("┌")[0]
    assert result.exit_code == 0, result.output
    assert "size       dense: " in answer
    assert "affine" not in answer
    assert "--target dense" in answer
    assert "said beside each module" in result.stdout
    assert "one group a matrix" not in result.stdout
