"""AutoAWQ compares `version` with lower-case names, and does not lower what config.json says: "GEMM" finds no layer."""

import torch
import transformers
from awq.models._config import AwqConfig
from awq.models.llama import LlamaAWQForCausalLM

config = {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "GEMM", "zero_point": True}
config = AwqConfig(**AwqConfig.from_transformers_dict(AwqConfig, config))  # as from_pretrained does
sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 32}
with torch.device("meta"):
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes))
print("expected WQLinear_GEMM")
try:
    LlamaAWQForCausalLM._load_quantized_modules(LlamaAWQForCausalLM, model, config, config.version, False, False)
    print("got     ", type(model.model.layers[0].mlp.down_proj).__name__)
except UnboundLocalError as error:
    print("got     ", type(error).__name__, error)
