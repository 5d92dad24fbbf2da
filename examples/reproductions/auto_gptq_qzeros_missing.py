"""AutoGPTQ loads a file without qzeros and says nothing: every zero point becomes 1, also where sym says 8."""

import tempfile

import torch
from accelerate.utils.modeling import load_checkpoint_in_model  # as called by AutoGPTQForCausalLM.from_quantized
from auto_gptq.modeling._utils import make_quant
from safetensors.torch import save_file

model = torch.nn.ModuleDict({"proj": torch.nn.Linear(32, 32, dtype=torch.float16)})
make_quant(model, {"proj"}, 4, 32, desc_act=False, disable_exllama=True, disable_exllamav2=True)
with tempfile.TemporaryDirectory() as folder:
    tensors = {"qweight": torch.full((4, 32), 0x77777777, dtype=torch.int32), "scales": torch.ones(1, 32).half()}
    save_file({f"proj.{name}": value for name, value in tensors.items()}, f"{folder}/model.safetensors")
    load_checkpoint_in_model(model, f"{folder}/model.safetensors", device_map={"": "cpu"}, dtype=torch.float16)
print("expected an error, or 7 - 8 =", 1.0 * (7 - 8))
print("got     ", model["proj"](torch.eye(32, dtype=torch.float16))[0, 0].item())
