"""What is written beside exported tests of NVFP4 (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "nvfp4": (
        "NVFP4: two E2M1 codes a byte, the low one first, times a byte of E4M3 for 16 inputs, and a float32 for all.",
        "FP-21 FP-21b FP-22b FP-23 FP-23b FP-24 FP-24b FP-26 FP-26b",
    ),
    "modelopt": ("ModelOpt's scale of the matrix multiplies, and code 8 is +0.", "FP-22 FP-25"),
    "experts": ("A stack of experts, whose axis comes first.", "FP-27"),
    **{
        f"policy-nvfp4-{policy}": (text, words)
        for policy, (text, words) in {
            "divisor": ("compressed-tensors' scale of the matrix divides.", "FP-22"),
            "one-axis": ("ModelOpt's scale of the matrix has one axis.", ""),
            "modelopt-w4a16_nvfp4-by-name": ("ModelOpt's NVFP4 of weights alone.", ""),
            "modelopt-w4a8_nvfp4_fp8-by-name": ("ModelOpt's NVFP4 with activations in FP8.", ""),
            "modelopt-nvfp4-by-name": ("ModelOpt's algorithm in lower case.", ""),
            "modelopt-group_size": ("ModelOpt's group_size beside the algorithm.", ""),
            "modelopt-input_scale": ("A scale of activations lies beside the weight, and is not part of it.", ""),
            "modelopt-code-8": ("ModelOpt's code 8 is 0, as code 0 is.", "FP-25"),
            "experts-of-one-scale": ("One scale for all experts of a stack.", "FP-27"),
            "experts-one-axis": ("A scale for each expert, with one axis.", "FP-27"),
            "ct-format-of-the-group": ("The group names the format, not the config.", ""),
            "ct-scale_dtype": ("The group says how scales are stored.", ""),
            "ct-strategy-group": ("The strategy is group, as in other formats.", ""),
            "ct-input_global_scale": ("A scale of activations lies beside the weight, and is not part of it.", ""),
        }.items()
    },
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "modelopt": ("ModelOpt's names: the codes are called weight.", ""),
    "hf_quant_config-only": ("ModelOpt's settings are in hf_quant_config.json alone.", ""),
    "scales-of-the-cache": ("Scales of the KV cache lie beside the projections.", ""),
    "no-scale-of-the-matrix": ("One module lacks the scale of its matrix.", ""),
    "mixed-precision": ("ModelOpt names an algorithm for each layer: NVFP4 and FP8.", ""),
    "mixed-precision-in-the-sidecar": ("The same, in hf_quant_config.json alone.", ""),
    "fp8-whose-sidecar-names-others": (
        "config.json says fp8, hf_quant_config.json names layers that are NVFP4: NVIDIA's DeepSeek models.",
        "",
    ),
    "fp8-whose-sidecar-says-nvfp4": ("config.json says fp8, hf_quant_config.json NVFP4 of everything.", ""),
}
