"""What is written beside exported tests of ``int-quantized`` (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "ct_int": ("compressed-tensors' int-quantized: one signed byte a code.", "CT-04"),
    "compressed-tensors": ("A config of compressed-tensors.", ""),
    "ct": ("Packed by compressed-tensors itself.", ""),
    "strategy-group": ("A scale for each group of inputs of an output.", ""),
    "strategy-channel": ("A scale for each output.", ""),
    "strategy-tensor": ("One scale for the whole weight.", ""),
    "symmetric": ("The zero point is 0, and not stored.", ""),
    "asymmetric": ("Zero points differ, and are stored as signed bytes.", "CT-05"),
    "policy-ct_int-dynamic-activations": ("What is said of activations changes no weight.", ""),
    "policy-ct_int-static-activations": ("Scales of activations beside the weight change nothing of it.", ""),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "w8a8": ("Activations are quantised as well, when the model runs.", ""),
    "naive": ("The same bytes under the name naive-quantized.", ""),
    "no-weight_zero_point": ("One module lacks its zero points, and is not symmetric.", "ZP-22"),
}
