"""GPTQModel 7.7.0 reads wrong zero points from the 3-bit files that GPTQModel wrote before 7.0.

Those versions took 1 off the zero points with three constants of which two are swapped, and put it back with the same.
Version 7.0 puts it back field by field, as is right for the files that it writes itself, and asks no file for its age.
"""

import os

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
import numpy as np
import torch
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.quantization import FORMAT
from gptqmodel.utils.model import convert_gptq_v1_to_v2_format_module


def words(values):
    stream = sum(value << 3 * place for place, value in enumerate(values))
    return np.array([stream >> shift & 0xFFFFFFFF for shift in (0, 32, 64)], dtype=np.uint32)


def fields(words):
    stream = sum(int(word) << 32 * place for place, word in enumerate(words))
    return [stream >> 3 * place & 7 for place in range(32)]


zero_points = [4] * 32  # a symmetric file of 3 bits
subtracted = np.array([0x24924924, 0x92492492, 0x49249249], dtype=np.uint32)  # convert_gptq_v2_to_v1_format up to 6.x
stored = words(zero_points) - subtracted

sizes = {"bits": 3, "group_size": 32, "in_features": 32, "out_features": 32}
layer = TorchLinear(sym=True, desc_act=False, bias=False, format=FORMAT.GPTQ, register_buffers=True, **sizes)
layer.qzeros.data = torch.from_numpy(stored.view(np.int32)[None].copy())
convert_gptq_v1_to_v2_format_module(layer, bits=3, pack_dtype=torch.int32)
print("expected", zero_points)
print("got     ", fields(layer.qzeros.numpy().view(np.uint32)[0]))
