"""AutoRound says that it takes GPTQ v1 only, and takes checkpoint_format "gptq_v2": zero points are one too large."""

import torch
import transformers
from auto_round.inference.convert_model import convert_hf_model

config = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True, "checkpoint_format": "gptq_v2"}
sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 32}
model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)).half()
model.config.quantization_config = transformers.AutoRoundConfig.from_dict(config)
layer = convert_hf_model(model, "cpu")[0].model.layers[0].mlp.up_proj
q, z, scale = 7, 8, 1.0  # gptq_v2 stores z as it is
layer.qweight[:], layer.qzeros[:], layer.scales[:] = 0x77777777, 0x88888888 - 2**32, scale
print("expected", scale * (q - z))
print("got     ", layer(torch.eye(32, dtype=torch.float16))[0, 0].item())
