"""AutoRound puts layers without any weights of the file into a model that none of its installed backends can run.

With auto-round alone installed, on a CPU: asymmetric GPTQ, all AWQ, and widths that are no multiple of 32. It logs that
auto-round-lib would help, and goes on; with that installed, the first two have a backend.
"""

import torch
import transformers
from auto_round.inference.convert_model import convert_hf_model

gptq = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False}
awq = {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True}
sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 32}
print("expected layers with qweight, qzeros and scales, or an error")
for label, config, width in (
    ("GPTQ symmetric", gptq | {"sym": True}, 64),
    ("GPTQ asymmetric", gptq | {"sym": False}, 64),
    ("GPTQ symmetric, 40 wide", gptq | {"sym": True}, 40),
    ("AWQ", awq, 64),
):
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(intermediate_size=width, **sizes))
    model.config.quantization_config = transformers.AutoRoundConfig.from_dict(dict(config))
    layer = convert_hf_model(model, "cpu")[0].model.layers[0].mlp.up_proj
    print(f"got {type(layer).__name__} with {', '.join(layer.state_dict())} for {label}")
