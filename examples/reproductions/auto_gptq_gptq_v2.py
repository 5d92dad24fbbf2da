"""AutoGPTQ reads checkpoint_format "gptq_v2", where zero points are stored as they are, as if it were v1."""

import json
import tempfile
from pathlib import Path

import torch
from auto_gptq.modeling import BaseQuantizeConfig
from auto_gptq.utils.import_utils import dynamically_import_QuantLinear

with tempfile.TemporaryDirectory() as folder:
    written = {"bits": 4, "group_size": 32, "desc_act": False, "sym": True, "checkpoint_format": "gptq_v2"}
    Path(folder, "quantize_config.json").write_text(json.dumps(written))
    config = BaseQuantizeConfig.from_pretrained(folder)  # a warning in the log, no more
cls = dynamically_import_QuantLinear(use_triton=False, desc_act=config.desc_act, group_size=32, bits=4)
layer = cls(config.bits, config.group_size, 32, 32, bias=False)
layer.qweight[:], layer.qzeros[:], layer.scales[:] = 0x77777777, 0x88888888 - 2**32, 1.0
print("expected", 1.0 * (7 - 8))
print("got     ", layer(torch.eye(32, dtype=torch.float16))[0, 0].item())
