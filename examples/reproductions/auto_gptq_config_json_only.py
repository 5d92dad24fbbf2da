"""AutoGPTQ does not find the quantisation config of a local folder that has it in config.json only."""

import json
import tempfile
from pathlib import Path

from auto_gptq.modeling import BaseQuantizeConfig

with tempfile.TemporaryDirectory() as folder:
    config = {"quantization_config": {"bits": 4, "group_size": 64, "desc_act": False, "sym": True}}
    Path(folder, "config.json").write_text(json.dumps(config))
    print("expected group size 64")
    try:
        print("got     ", BaseQuantizeConfig.from_pretrained(folder).group_size)
    except FileNotFoundError as error:
        print("got     ", type(error).__name__, Path(error.filename).name)
