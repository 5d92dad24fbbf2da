"""GPTQModel refuses the files of auto-gptq 0.7.1, for these say that they are not in Marlin's format."""

import os

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
from gptqmodel.quantization import QuantizeConfig

config = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}
print("expected: 4-bit GPTQ, with is_marlin_format False as without it")
for settings in (config, config | {"is_marlin_format": False}):
    try:
        print("got:     ", QuantizeConfig.from_quant_config(settings).format)
    except ValueError as error:
        print("got:     ", error)
