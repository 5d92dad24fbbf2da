"""``mlx_lm.perplexity`` and ``mlx_lm.evaluate`` on packed repos, with the real lm-eval: run by ``tox -e evaluate``.

Both must find of each packed repo what mlx-lm, without us, finds of the dense weights that the reference decodes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from reference import checkpoint, dequantize

FIXTURES = Path(__file__).parents[2] / "fixtures"
REPOS = ("awq_gemm/models/qwen2-awq-g128", "gptq/models/llama-gptq-g128-act-asym")
# Of a sentence that the models know by heart: how it goes on, and how it might.
QUESTIONS = [
    {
        "start": "It will not forgive a reader who opens the page",
        "ends": [" upside down.", " twenty times."],
        "right": 0,
    },
    {"start": "The compromise is that close is all it can", "ends": [" seldom hold", " ever be"], "right": 1},
    {"start": "It will not forgive", "ends": [" a small house", " a reader"], "right": 1},
]
TASK = """task: recital
dataset_path: json
dataset_kwargs: {data_files: {validation: DATA}}
validation_split: validation
output_type: multiple_choice
doc_to_text: "{{start}}"
doc_to_choice: "{{ends}}"
doc_to_target: "{{right}}"
target_delimiter: ""
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        text = (FIXTURES / "base" / "recital.txt").read_text()
        (folder / "data").mkdir()
        (folder / "data" / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for _ in range(2)))
        questions = folder / "questions.jsonl"
        questions.write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
        (folder / "recital.yaml").write_text(TASK.replace("DATA", str(questions)))
        for repo in REPOS:
            source, name = FIXTURES / repo, repo.rpartition("/")[2]
            dense(source, folder / name)
            due = answers(folder, "mlx_lm.", str(folder / name))
            found = answers(folder, "mlx-quant run --dtype float32 --params-dtype float32 mlx_lm.", str(source))
            apart = abs(found["perplexity"] / due["perplexity"] - 1)
            assert apart < 1e-3, f"{name}: {found} for {due}"
            assert due["perplexity"] < 2, f"{name} does not know its text: {due}"
            assert found["acc"] == due["acc"] == 1, f"{name}: {found} for {due}"
            print(f"{name}: perplexity {found['perplexity']:.3f} for {due['perplexity']:.3f}, accuracy {found['acc']}")


def dense(source: Path, folder: Path) -> None:
    """What the reference makes of a packed folder, in float32, as one that mlx-lm reads by itself."""
    folder.mkdir()
    weights = checkpoint.load(source, dequantize)
    tensors = {name: tensor.float().contiguous() for name, tensor in weights.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    config.pop("quantization_config")
    (folder / "config.json").write_text(json.dumps(config))
    for file in source.glob("tokenizer*"):
        (folder / file.name).write_bytes(file.read_bytes())


def answers(folder: Path, command: str, model: str) -> dict[str, Any]:
    """Perplexity of the text in windows of 64 tokens, and the share of questions that were answered right."""
    sizes = ("--sequence-length", "64", "--num-samples", "8", "--batch-size", "4")
    said = ran(folder, f"{command}perplexity", "--model", model, "--data-path", str(folder / "data"), *sizes)
    found = re.search(r"^Perplexity: ([0-9.]+)", said, re.MULTILINE)
    assert found, said
    out = folder / "out"
    ran(folder, f"{command}evaluate", "--model", model, "--tasks", "recital.yaml", "--output-dir", str(out))
    (file,) = out.iterdir()
    results = json.loads(file.read_text())
    file.unlink()
    return {"perplexity": float(found[1]), "acc": results["recital"]["acc,none"]}


def ran(folder: Path, command: str, *arguments: str) -> str:
    program, *rest = command.split()
    done = subprocess.run(
        [str(Path(sys.executable).parent / program), *rest, *arguments],
        cwd=folder,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "MLX_DISABLE_COMPILE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    return done.stdout


if __name__ == "__main__":
    main()
