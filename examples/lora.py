"""Fine-tune LoRA adapters on a packed GPTQ or AWQ repo, with mlx-lm's own tuner.

    python examples/lora.py Qwen/Qwen2.5-0.5B-Instruct-GPTQ-Int4 --data examples/lora_data --adapter-path adapters
    mlx-quant generate Qwen/Qwen2.5-0.5B-Instruct-GPTQ-Int4 --adapter-path adapters --prompt "Fold the dough"

The data are a folder of ``train.jsonl`` and ``valid.jsonl`` (or a Hub dataset) in any form that ``mlx_lm.lora`` takes.
To merge the adapters into a model of its own, convert the repo with the same target, and let mlx-lm fuse it:

    mlx-quant convert Qwen/Qwen2.5-0.5B-Instruct-GPTQ-Int4 base --target affine
    mlx_lm.fuse --model base --adapter-path adapters --save-path fused --dequantize
"""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import Any

from mlx_lm.lora import CONFIG_DEFAULTS, train_model
from mlx_lm.tuner.callbacks import TrainingCallback
from mlx_lm.tuner.datasets import load_dataset

import mlx_quant


class Losses(TrainingCallback):
    """Training and validation losses by iteration."""

    def __init__(self) -> None:
        self.train: list[float] = []
        self.valid: list[float] = []

    def on_train_loss_report(self, train_info: dict[str, Any]) -> None:
        self.train.append(train_info["train_loss"])

    def on_val_loss_report(self, val_info: dict[str, Any]) -> None:
        self.valid.append(val_info["val_loss"])


def finetune(source: str, data: str, adapter_path: str, *, load: dict[str, Any], **options: Any) -> tuple[Any, Losses]:
    """Train adapters and save them.

    Args:
        source: folder or Hub repo of packed weights.
        data: folder or Hub dataset.
        adapter_path: folder for ``adapters.safetensors`` and ``adapter_config.json``.
        load: options of :func:`mlx_quant.load`.
        options: of ``mlx_lm.lora``, in the spelling of its YAML file: ``iters``, ``learning_rate``, ...

    Returns:
        The model with its adapters, and the losses.
    """
    model, tokenizer = mlx_quant.load(source, **load)
    settings = {"model": source, "train": True, "data": data, "adapter_path": adapter_path, "num_layers": -1}
    arguments = SimpleNamespace(**(CONFIG_DEFAULTS | settings | options))
    train_set, valid_set, _ = load_dataset(arguments, tokenizer)
    losses = Losses()
    train_model(arguments, model, train_set, valid_set, losses)
    model.eval()
    return model, losses


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="folder or Hub repo of packed weights")
    parser.add_argument("--data", required=True, help="folder with train.jsonl and valid.jsonl, or a Hub dataset")
    parser.add_argument("--adapter-path", default="adapters", help="where the adapters go")
    parser.add_argument(
        "--target", default="auto", choices=("auto", "dense", "affine"), help="form of the base weights"
    )
    parser.add_argument("--requantize", action="store_true", help="base weights in MLX's 4 bits, also for act-order")
    parser.add_argument("--dtype", choices=("float16", "bfloat16", "float32"), help="float32 is fastest on a CPU")
    parser.add_argument("--iters", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--num-layers", type=int, default=-1, help="adapt so many layers from the end; -1 is all")
    given = parser.parse_args()
    _, losses = finetune(
        given.source,
        given.data,
        given.adapter_path,
        load={
            "target": given.target,
            "requantize": given.requantize,
            "dtype": given.dtype,
            "params_dtype": given.dtype,
        },
        iters=given.iters,
        batch_size=given.batch_size,
        learning_rate=given.learning_rate,
        num_layers=given.num_layers,
    )
    print(f"validation loss {losses.valid[0]:.3f} -> {losses.valid[-1]:.3f}; adapters in {given.adapter_path}")


if __name__ == "__main__":
    main()
