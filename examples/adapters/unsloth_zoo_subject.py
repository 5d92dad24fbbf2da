"""unsloth-zoo's MLX loader as a conformance subject.

It calls the step by which unsloth turns a packed checkpoint into a folder that mlx-lm loads
(``_materialize_dequantized_hf_checkpoint``), for a single module on a folder of that module alone. ``dequantize`` and
``load`` are its dense form, which holds float16 whatever the dtype of the scales. ``to_affine`` is the form it takes
for ``load_in_4bit``, which keeps the codes (GPTQ only: such AWQ goes to mlx-lm, see ``mlx_lm_subject.py``). What
unsloth asks of the configuration before it gets there is asked here too, by the same functions.

On Linux the package has to be imported with ``UNSLOTH_ZOO_DISABLE_GPU_INIT=1``. A ``g_idx`` far out of range ends the
process, so let the suite talk to a process of its own: ``python -m conformance.serve`` with this subject.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("UNSLOTH_ZOO_DISABLE_GPU_INIT", "1")

import mlx.core as mx
from unsloth_zoo.mlx import loader

OTHER_WIDTHS = ["bits-2", "bits-3", "bits-8", "awq-else"]
# Of these its affine form has none: _MLX_AFFINE_GROUP_SIZES are 32, 64 and 128.
OTHER_SIZES = [f"group-size-{size}" for size in (-1, 16, 256, 512, 1024, "other")]


class Unread(Exception):
    """unsloth's own predicate says that this is nothing for its GPTQ and AWQ path."""


def _materialised(folder: Path, *, affine: bool) -> dict[str, mx.array]:
    """The tensors of the folder unsloth makes of ``folder``."""
    config = json.loads((folder / "config.json").read_text())
    method, quantization = loader._detect_hf_prequant_method(config)
    if method is None:
        raise Unread("not detected as GPTQ or AWQ")
    if method == "awq" and not loader._awq_quant_config_is_gemm(quantization):
        raise Unread(f"AWQ version {quantization.get('version')!r}")
    try:
        made, new_config = loader._materialize_dequantized_hf_checkpoint(
            str(folder), config, method, quantization, mlx_affine=affine
        )
    except ValueError as error:
        if "no packed" in str(error):
            raise Unread(str(error)) from error
        raise
    try:
        if affine and "quantization" not in new_config:
            raise Unread("no affine form: unsloth falls back to dense float16")
        tensors: dict[str, mx.array] = {}
        for file in sorted(Path(made).glob("*.safetensors")):
            tensors |= mx.load(str(file))  # type: ignore[operator]
        mx.eval(tensors)
        return tensors
    finally:
        shutil.rmtree(made)


def _module(config: dict[str, Any], tensors: dict[str, mx.array], *, affine: bool) -> dict[str, mx.array]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "config.json").write_text(json.dumps({"quantization_config": config}))
        mx.save_safetensors(str(folder / "model.safetensors"), {f"layer.{name}": t for name, t in tensors.items()})
        made = _materialised(folder, affine=affine)
    return {name.removeprefix("layer."): value for name, value in made.items()}


class _Subject:
    name = "unsloth-zoo"
    framework = "mlx"
    refusals = (NotImplementedError, Unread)

    def info(self) -> dict[str, Any]:
        return {
            "version": version("unsloth-zoo"),
            "formats": ["gptq", "awq"],
            # It refuses all but 4 bits, and gptq_v2, by name. It decodes to float16 and nothing else, and knows no
            # configuration without a quant_method.
            "excludes": [*OTHER_WIDTHS, "gptq_v2", "out-dtype", "legacy-config"],
            "backend": str(mx.default_device()),
            "mlx": version("mlx"),
            "affine": {
                "formats": ["gptq"],
                "excludes": [*OTHER_WIDTHS, "gptq_v2", "act-order", "arbitrary-groups", *OTHER_SIZES],
            },
        }

    def to_affine(self, quantization_config: dict[str, Any], tensors: dict[str, mx.array]) -> dict[str, Any]:
        made = _module(quantization_config, tensors, affine=True)
        names = ("weight", "scales", "biases")
        return {name: made[name] for name in names} | {"group_size": quantization_config["group_size"], "bits": 4}

    def dequantize(
        self, quantization_config: dict[str, Any], tensors: dict[str, mx.array], *, dtype: mx.Dtype | None = None
    ) -> mx.array:
        if dtype is not None and dtype != mx.float16:
            raise Unread(f"unsloth decodes to float16; {dtype} cannot be asked for")
        return _module(quantization_config, tensors, affine=False)["weight"]

    def load(self, checkpoint_dir: str | Path) -> dict[str, mx.array]:
        return _materialised(Path(checkpoint_dir), affine=False)


SUBJECT = _Subject()
