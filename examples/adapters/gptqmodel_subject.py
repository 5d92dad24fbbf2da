"""GPTQModel's MLX repack as a conformance subject.

It goes the way of GPTQModel's loader for a checkpoint of one linear layer: ``QuantizeConfig`` reads the configuration,
the layer is loaded in float16 (GPTQModel's dtype on Apple silicon), version 1 zero points become version 2 ones, and
``pack_source`` of the layer's MLX class repacks it. None of it needs Apple silicon but for a check of the platform,
which is switched off.

Needs ``GPTQMODEL_CPU_WORKERS=2`` on a machine of two cores.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from sys import stderr
from typing import Any

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")

import mlx.core as mx
import torch
from safetensors.torch import save_file

with redirect_stdout(stderr):  # it greets everybody with a banner
    from gptqmodel.models._const import PLATFORM
    from gptqmodel.nn_modules.qlinear.mlx import AwqMlxQuantLinear, MlxQuantLinear
    from gptqmodel.quantization import FORMAT, METHOD, QuantizeConfig
    from gptqmodel.quantization.config import resolve_quant_format
    from gptqmodel.utils.model import convert_gptq_v1_to_v2_format, load_checkpoint_in_model_then_tie_weights


class Declined(Exception):
    """One of GPTQModel's checks says that MLX does not take this over as it is."""


def _anywhere(holder: Any) -> Any:
    """The class without its demand for Apple silicon. GPTQModel wants every SUPPORTS field on the class itself."""
    fields = {name: getattr(holder, name) for name in dir(holder) if name.startswith("SUPPORTS_")}
    fields |= {"SUPPORTS_PLATFORM": [PLATFORM.ALL], "validate_once": classmethod(lambda cls: (True, None))}
    return type(holder.__name__, (holder,), fields)


LAYERS = {METHOD.GPTQ: _anywhere(MlxQuantLinear), METHOD.AWQ: _anywhere(AwqMlxQuantLinear)}
FORMATS = (FORMAT.GPTQ, FORMAT.GPTQ_V2, FORMAT.GPTQ_P, FORMAT.GEMM)


class _Net(torch.nn.Module):
    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def tie_weights(self, **_: Any) -> None:
        pass


def _loaded(config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Any:
    try:
        settings = QuantizeConfig.from_quant_config(dict(config))
        code = resolve_quant_format(settings.format, settings.method)
    except ValueError as error:
        raise Declined(str(error)) from error
    if settings.method not in LAYERS or code not in FORMATS:
        raise Declined(f"{settings.method} in format {code} has an MLX class of its own, if any")
    # The loader asks this in the middle of `from_quantized`.
    if code == FORMAT.GPTQ and not settings.sym and not settings.is_quantized_by_gptaq():
        raise Declined("sym=False in the version 1 format, not by GPTQModel")
    rows, columns = tensors["qweight"].shape
    inputs = rows * 32 // settings.bits
    in_features, out_features = (rows, columns * 8) if settings.method == METHOD.AWQ else (inputs, columns)
    options = {"format": code} if settings.method == METHOD.GPTQ else {}
    try:
        layer = LAYERS[settings.method](
            bits=settings.bits,
            group_size=settings.group_size,
            sym=settings.sym,
            desc_act=settings.desc_act,
            in_features=in_features,
            out_features=out_features,
            bias="bias" in tensors,
            pack_dtype=settings.pack_dtype,
            register_buffers=True,
            **options,
        )
    except NotImplementedError as error:
        raise Declined(str(error)) from error
    net = _Net(layer)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "model.safetensors"
        stored = {f"layer.{name}": value.contiguous() for name, value in tensors.items()}
        save_file(stored, file, metadata={"format": "pt"})
        try:
            load_checkpoint_in_model_then_tie_weights(
                net, dtype=torch.float16, checkpoint=str(file), device_map={"": "cpu"}
            )
        except ValueError as error:
            if "Trying to set a tensor of shape" in str(error):
                raise Declined(str(error)) from error
            raise
    if code == FORMAT.GPTQ:
        convert_gptq_v1_to_v2_format(net, cfg=settings, qlinear_kernel=type(layer))
    return layer


class _Subject:
    name = "gptqmodel-mlx"
    framework = "torch"
    refusals = (Declined,)

    def info(self) -> dict[str, Any]:
        # MlxQuantLinear has 2 to 8 bits, gptq and gptq_v2, and groups of 16 to 1024. On MLX it takes GPTQ where it is
        # symmetric, without act-order, and of a width in multiples of 32. A group of a whole row is taken only where it
        # is of one of a few sizes, and one of 16 inputs becomes two products, which are no affine form.
        sizes = ["group-size--1", "group-size-16", "group-size-other", "ragged", "odd-width"]
        excludes = ["act-order", "arbitrary-groups", "asymmetric", *sizes]
        return {
            "version": version("gptqmodel"),
            "formats": ["awq", "gptq"],
            "backend": str(mx.default_device()),
            "mlx": version("mlx"),
            "affine": {"formats": ["awq", "gptq"], "excludes": excludes},
        }

    def to_affine(self, quantization_config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
        layer = _loaded(quantization_config, tensors)
        if not type(layer).source_compatible(layer):
            raise Declined("the layer is not compatible: GPTQModel decodes it and quantises it anew")
        weight, scales, biases, parameters = type(layer).pack_source(layer)
        arrays = {"weight": weight, "scales": scales, "biases": biases}
        return {name: torch.from_numpy(value) for name, value in arrays.items()} | {
            "group_size": parameters["group_size"],
            "bits": parameters["bits"],
        }


SUBJECT = _Subject()
