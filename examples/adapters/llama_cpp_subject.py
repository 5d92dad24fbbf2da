"""llama.cpp's converter from Hugging Face checkpoints as a conformance subject.

`convert_hf_to_gguf.py` decodes GPTQ in `ModelBase.dequant_model` (`conversion/base.py`) and then quantises to the
output type; both steps are called here, the second as `--outtype` the dtype of the scales. LLAMA_CPP_DIR must name a
folder with llama.cpp's sources; the sdist of llama-cpp-python has them in vendor/llama.cpp. Nothing need be compiled.

A single module is given to `dequant_model` on a bare object, as if it were all there is of a model. `load` lets the
class of the architecture index a folder, and stops before tensors get their GGUF names.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(os.environ["LLAMA_CPP_DIR"])
sys.path[:0] = [str(ROOT), str(ROOT / "gguf-py")]

import gguf  # noqa: E402
from conversion import get_model_class  # noqa: E402
from conversion.base import ModelBase  # noqa: E402

OUTPUT = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32"}


class Refused(Exception):
    """The converter's own checks said no, or the question is none for it."""


def written(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What ends up in the GGUF file with `--outtype` f16, bf16 or f32, as `prepare_tensors` writes it."""
    if dtype not in OUTPUT:
        raise Refused(f"--outtype has no {dtype}")
    data = gguf.quants.quantize(value.float().contiguous().numpy(), gguf.GGMLQuantizationType[OUTPUT[dtype]])
    return torch.from_numpy(data).view(dtype).reshape(value.shape)


class Bare(ModelBase):
    """A model of one module, without files."""

    def __init__(self, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        self.hparams, self.lazy, self._is_nvfp4 = {"quantization_config": config}, False, False
        self.model_tensors = {f"proj.{name}": lambda tensor=tensor: tensor for name, tensor in tensors.items()}


def dequantize(quantization_config: dict[str, Any], tensors: dict[str, torch.Tensor], *, dtype: Any = None) -> Any:
    model = Bare(quantization_config, tensors)
    model.dequant_model()
    return written(model.model_tensors["proj.weight"](), dtype or tensors["scales"].dtype)


def load(checkpoint_dir: str | Path) -> dict[str, torch.Tensor]:
    """A whole model; a bias of zeros that the file has for a projection stays, as the converter writes it too."""
    folder = Path(checkpoint_dir)
    config = ModelBase.load_hparams(folder, False)
    model_class = get_model_class(config["architectures"][0])
    try:
        model = model_class(folder, gguf.LlamaFileType.MOSTLY_F16, folder / "unused.gguf", eager=True)
    except ValueError as error:
        # Of index_tensors, which compares the files with their index. Any other ValueError is an accident.
        if not any(text in str(error) for text in ("Missing tensors", "Missing or incomplete model files")):
            raise
        raise Refused(str(error)) from error
    packed = {name: make for name, make in model.model_tensors.items() if name.endswith("scales")}
    dtypes = {name.removesuffix("scales"): make().dtype for name, make in packed.items()}
    model.dequant_model()
    return {
        name: written(value, dtypes[name.removesuffix("weight")]) if name.removesuffix("weight") in dtypes else value
        for name, value in model.get_tensors()
    }


class _Subject:
    name = "llama.cpp"
    framework = "torch"
    refusals = (NotImplementedError, Refused)

    def info(self) -> dict[str, Any]:
        found = re.search(r'^version = "(.+)"', (ROOT / "gguf-py" / "pyproject.toml").read_text(), re.MULTILINE)
        return {
            "version": f"gguf {found.group(1) if found else '?'}",
            "formats": ["gptq"],
            # "3-bit gptq dequantization is not yet implemented", it says.
            "excludes": ["bits-3"],
            "backend": "cpu, convert_hf_to_gguf",
        }

    dequantize = staticmethod(dequantize)
    load = staticmethod(load)


SUBJECT = _Subject()
