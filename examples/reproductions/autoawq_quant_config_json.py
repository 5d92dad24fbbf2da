"""AutoAWQ 0.2.9 does not read the quant_config.json, nor the w_bit and q_group_size, that AutoAWQ once wrote."""

import json
import tempfile
from pathlib import Path

from awq.models._config import AwqConfig

legacy = {"zero_point": True, "q_group_size": 64, "w_bit": 4, "version": "GEMM"}
for file, content in (("quant_config.json", legacy), ("config.json", {"quantization_config": legacy})):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text("{}")
        Path(folder, file).write_text(json.dumps(content))
        config = AwqConfig.from_pretrained(folder)
    print(f"{file}: expected 4 bits in groups of 64, got {config.w_bit} bits in groups of {config.q_group_size}")
