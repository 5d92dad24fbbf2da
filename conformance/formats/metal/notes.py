"""What is written beside exported tests of metal (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "metal": (
        "transformers' metal: MLX's affine codes; product and sum are each rounded to float32, and the weight to the "
        "dtype of the scales.",
        "MT-01 MT-02 MT-03 MT-04",
    ),
    "signed-zeros": ("Zeros of either sign are among the weights.", ""),
    **{
        f"policy-metal-{policy}": (text, "")
        for policy, text in {
            "bare": "The config names the method alone.",
            "dequantize": "The config says how transformers should load it.",
            "signed-words": "Words are stored as int32.",
        }.items()
    },
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "8-bits": ("Codes of 8 bits.", ""),
    "biases-of-mlx": ("The biases of one module have the name that MLX gives them.", ""),
    "no-scales": ("One module has no scales.", ""),
}
