"""AutoAWQ 0.2.9 on a CPU as a conformance subject.

The configuration goes through `AwqConfig.from_transformers_dict`, as in `AutoAWQForCausalLM.from_quantized`. The module
is a `WQLinear_GEMM`, filled as accelerate fills it, and the weight is `dequantize_gemm` of its buffers, which is what
its `forward` multiplies by where there are no compiled kernels.

There is no `load`: without a GPU, AutoAWQ 0.2.9 and transformers 4.51 both ask for intel_extension_for_pytorch.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import Any

import torch
from accelerate.utils import set_module_tensor_to_device

warnings.filterwarnings("ignore", category=DeprecationWarning)

from awq.models._config import AwqConfig  # noqa: E402
from awq.modules.linear.gemm import WQLinear_GEMM  # noqa: E402
from awq.utils.packing_utils import dequantize_gemm  # noqa: E402


class Refused(Exception):
    """AutoAWQ has another layer for this file, or none."""


def dequantize(quantization_config: dict[str, Any], tensors: dict[str, torch.Tensor], *, dtype: Any = None) -> Any:
    if dtype not in (None, tensors["scales"].dtype):
        raise Refused("its dtype is the model's, and casts the scales: none can be asked for the weight")
    config = AwqConfig(**AwqConfig.from_transformers_dict(AwqConfig, quantization_config))
    if config.version != "gemm":
        # AutoAWQ takes WQLinear_GEMV, GEMVFast or Marlin, whose buffers have other shapes and whose code needs a GPU.
        raise Refused(f"version {config.version!r} is not read by WQLinear_GEMM")
    in_features, out_features = tensors["qweight"].shape[0], tensors["scales"].shape[1]
    try:
        layer = WQLinear_GEMM(config.w_bit, config.q_group_size, in_features, out_features, "bias" in tensors, "meta")
    except NotImplementedError as error:
        raise Refused(str(error)) from error
    for name, tensor in tensors.items():
        if name in layer._buffers:
            try:
                set_module_tensor_to_device(layer, name, "cpu", tensor, dtype=tensors["scales"].dtype)
            except ValueError as error:
                raise Refused(str(error)) from error
    weight = dequantize_gemm(layer.qweight, layer.qzeros, layer.scales, layer.w_bit, layer.group_size)
    return weight.T.contiguous()


class _Subject:
    name = "autoawq"
    framework = "torch"
    refusals = (Refused,)

    def info(self) -> dict[str, Any]:
        # torch_dtype casts the stored scales; it is no request for the weight in another dtype. w_bit and q_group_size
        # are what AutoAWQ itself calls them, but it does not look for them in config.json.
        excludes = ["out-dtype", "legacy-config", "ragged", "awq-else"]
        return {"version": version("autoawq"), "formats": ["awq"], "excludes": excludes, "backend": "cpu, PyTorch"}

    dequantize = staticmethod(dequantize)


SUBJECT = _Subject()
