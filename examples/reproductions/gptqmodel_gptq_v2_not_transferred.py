"""GPTQModel's MLX class does not recognise a gptq_v2 layer and so lets it be decoded and quantised anew."""

import os

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
import torch
from gptqmodel.nn_modules.qlinear.mlx import MlxQuantLinear
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.quantization import FORMAT
from gptqmodel.utils.model import convert_gptq_v1_to_v2_format_module

for format in (FORMAT.GPTQ, FORMAT.GPTQ_V2):
    sizes = {"bits": 4, "group_size": 32, "in_features": 32, "out_features": 32}
    layer = TorchLinear(sym=True, desc_act=False, bias=False, register_buffers=True, format=format, **sizes)
    if format == FORMAT.GPTQ:  # what the loader does; with gptq_v2 there is nothing to be done
        convert_gptq_v1_to_v2_format_module(layer, bits=4, pack_dtype=torch.int32)
    print(f"{format}: expected True, got {MlxQuantLinear._source_layout_compatible(layer)}")
