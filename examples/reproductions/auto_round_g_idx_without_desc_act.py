"""AutoRound asks desc_act alone whether a GPTQ file is in act-order; with false there, a real g_idx is dropped."""

import torch
import transformers
from auto_round.inference.convert_model import convert_hf_model

config = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True, "desc_act": False}
sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 32}
model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)).half()
model.config.quantization_config = transformers.AutoRoundConfig.from_dict(config)
layer = convert_hf_model(model, "cpu")[0].model.layers[0].mlp.up_proj
g_idx = torch.arange(64, dtype=torch.int32) % 2
scales = torch.tensor([[1.0], [2.0]], dtype=torch.float16).repeat(1, 64)
tensors = {
    "qweight": torch.full((8, 64), 0x99999999 - 2**32, dtype=torch.int32),
    "qzeros": torch.full((2, 8), 0x77777777, dtype=torch.int32),  # GPTQ stores z - 1
    "scales": scales,
    "g_idx": g_idx,
}
layer.load_state_dict(tensors, strict=False)  # from_pretrained is not strict either
print("expected", (scales[g_idx] * (9 - 8))[:4, 0].tolist())
print("got     ", layer(torch.eye(64, dtype=torch.float16))[:4, 0].tolist())
