"""What is written beside exported tests of MXFP4 (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "mxfp4": (
        "MXFP4: two E2M1 codes a byte, the low nibble first, times a power of two for 32 inputs.",
        "FP-11 FP-12 FP-12b FP-13 FP-14 FP-14b FP-14c FP-14d FP-15 FP-15b FP-16 FP-16b",
    ),
    "gpt-oss": ("Tensors have the names and axes of gpt-oss: blocks of 16 bytes.", "FP-11b"),
    "modelopt": ("Codes are called weight, as ModelOpt has them.", ""),
    "deepseek": ("DeepSeek V4's experts: codes under the dtype int8, and scales called scale.", "FP-18 FP-18b"),
    "experts": ("A stack of experts, whose axis comes first.", "FP-17 FP-17b FP-17c"),
    **{
        f"policy-mxfp4-{policy}": (text, words)
        for policy, (text, words) in {
            "blocks-and-scales": ("gpt-oss' names and axes.", ""),
            "modelopt": ("ModelOpt's names.", ""),
            "modelopt-w4a8": ("ModelOpt's MXFP4 whose activations are quantised as well.", ""),
            "modelopt-lower-case": ("ModelOpt's algorithm in lower case.", ""),
            "modelopt-group_size": ("ModelOpt's group_size beside the algorithm.", ""),
            "modelopt-input_scale": ("A scale of activations lies beside the weight, and is not part of it.", ""),
            "exponents-named-e8m0": ("Scales stored as F8_E8M0.", ""),
            "modules_to_not_convert-null": ("modules_to_not_convert is null.", "#null"),
            "modules_to_not_convert-absent": ("No modules_to_not_convert.", ""),
            "dequantize": ("transformers' flag that it should decode the experts as it loads.", ""),
            "capitals": ("The method in capitals.", "#null"),
            "ct-format-of-the-group": ("The group names the format, not the config.", ""),
            "ct-scale_dtype": ("The group says how scales are stored.", ""),
            "ct-input_global_scale": ("A scale of activations lies beside the weight, and is not part of it.", ""),
            "deepseek": ("DeepSeek V4's experts, in bytes of int8, and E8M0 scales called scale.", "FP-18 FP-18b"),
            "deepseek-exponents-as-bytes": ("The same with scales stored as U8.", ""),
            "deepseek-blocks-of-others": ("weight_block_size is of the modules that are FP8.", ""),
            "zero-byte": ("Byte 0 is 2**-127.", "FP-14b"),
        }.items()
    },
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "compressed-tensors": ("compressed-tensors' names: weight_packed and weight_scale.", ""),
    "blocks-without-scales": ("Blocks have no scales beside them.", ""),
    "modelopt": ("ModelOpt's names: the codes are called weight.", ""),
    "hf_quant_config-only": ("ModelOpt's settings are in hf_quant_config.json alone.", ""),
    "scales-of-the-cache": ("Scales of the KV cache lie beside the projections.", ""),
    "mixed-precision": ("ModelOpt names an algorithm for each layer: MXFP4 and FP8.", ""),
    "groups-of-two-formats": ("Two groups of modules, MXFP4 and FP8.", ""),
}
