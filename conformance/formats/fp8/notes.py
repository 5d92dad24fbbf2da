"""What is written beside exported tests of FP8 (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "fp8": (
        "FP8: a byte a weight, E4M3, times the scale of its block in float32; then one rounding.",
        "FP-01 FP-01b FP-02 FP-02b FP-02c FP-04d FP-06 FP-06b FP-06c",
    ),
    "blocks": ("A scale for each block of rows and columns.", "FP-03 FP-04 FP-04b FP-04c"),
    "tensor": ("One scale for the whole matrix.", ""),
    "channel": ("A scale for each output.", "FP-04b"),
    "modelopt": (
        "ModelOpt rounds its float32 scale to the dtype of the result before the product.",
        "FP-05 FP-05b FP-05c",
    ),
    "fbgemm": ("Method fbgemm_fp8: a scale for each output, and bfloat16 whatever the scales are.", "FP-08"),
    "deepseek-names": ("Scales are called scale, as DeepSeek V4 has them.", "FP-09 FP-09b"),
    "scales-float8_e8m0fnu": ("The scales are bytes of E8M0, powers of two.", "FP-07 FP-07b FP-07c"),
    "scales-uint8": ("The same, stored as plain bytes.", "FP-07 FP-07b FP-07c"),
    **{
        f"policy-fp8-{policy}": (text, words)
        for policy, (text, words) in {
            "exponents-as-bytes": ("E8M0 scales stored as U8.", "FP-07"),
            "exponents-as-float32": ("Powers of two stored as float32, under scale_fmt ue8m0.", ""),
            "exponents-labelled-float": ("E8M0 scales under scale_fmt float: the tensors decide.", "FP-07"),
            "scale_fmt-absent": ("No scale_fmt.", ""),
            "fmt-e4m3": ("DeepSeek's fmt names the float.", "FP-02b"),
            "weight_scale": ("The scale is called weight_scale.", ""),
            "input_scale": ("A scale of activations lies beside the weight, and is not part of it.", ""),
            "activation_scale": ("The same under another name.", ""),
            "ignored_layers": ("A list of layers left dense, under MiniMax's name for it.", ""),
            "weight_block_size-absent": ("No weight_block_size: blocks of 128 by 128.", ""),
            "tensor-scalar": ("One scale without axes.", ""),
            "tensor-one-axis": ("One scale with one axis.", ""),
            "channel-one-axis": ("Scales of outputs with one axis.", ""),
            "modelopt-mxfp8": ("ModelOpt's MXFP8 is blocks of 1 by 32 with E8M0 scales.", "FP-07"),
            "modelopt-lower-case": ("ModelOpt's algorithm in lower case.", ""),
            "modelopt-four-axes": ("ModelOpt's scales of blocks have four axes, two of them of size 1.", ""),
            "ct-naive-quantized": ("compressed-tensors' old name of float-quantized.", ""),
            "ct-format-of-the-group": ("The group names the format, not the config.", ""),
            "ct-input_scale": ("A scale of activations lies beside the weight, and is not part of it.", ""),
            "ct-block-as-text": ("The block as a text, 32x32.", ""),
            "ct-strategy-absent": ("No strategy and no group_size: one scale for the matrix.", ""),
            "ct-scale-without-axes": ("One scale without axes.", ""),
            "deepseek": ("DeepSeek V4's names and settings.", ""),
            "deepseek-experts": ("The same, where expert_dtype says that experts are FP8 as well.", ""),
            "deepseek-float32": ("The same with powers of two stored as float32.", ""),
            "deepseek-scales-of-rows": ("A scale for every row of a block, as V4.1's embeddings have.", "FP-09"),
            "fbgemm": ("Method fbgemm_fp8 has the scales of outputs under another name.", ""),
            "fbgemm-says-no-more": ("The method alone, and none of its settings.", ""),
            "fbgemm-bound-of-activations": ("The bound of activations is no part of a weight.", "FP-08b"),
            "fbgemm-float16": ("Scales of float16 are the same numbers in float32; so are the weights.", "FP-08"),
        }.items()
    },
    "subnormal-weights": ("Products below the smallest normal number of the result.", "FP-06b"),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "scale-beside-a-dense-weight": ("A layer left dense has a scale beside it that was never written to.", ""),
    "float8-without-a-scale": ("A weight of float8 has no scale anywhere.", ""),
    "hf_quant_config-only": ("ModelOpt's settings are in hf_quant_config.json alone.", ""),
    "hf_quant_config-that-agrees": ("ModelOpt's settings are in both files, each in its own form.", ""),
    "hf_quant_config-that-disagrees": ("ModelOpt's two files name different algorithms.", ""),
    "mixed-precision": ("ModelOpt names an algorithm for each layer.", ""),
    "dynamic-activations": ("Activations are quantised as well, when the model runs.", ""),
    "blocks-and-channels": ("Two groups of modules whose scales cover different things.", ""),
    "deepseek": ("Scales are called scale, as DeepSeek V4 has them; one layer is left dense.", "FP-09b"),
    "fbgemm": ("transformers' method fbgemm_fp8, one layer left dense.", ""),
    "fbgemm-beside-other-scales": ("The sidecar is of transformers' other method of FP8.", ""),
    "scales-of-the-cache": ("Scales of the KV cache lie beside the projections.", ""),
}
