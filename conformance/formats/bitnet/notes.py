"""What is written beside exported tests of BitNet (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "bitnet": (
        "BitNet in transformers: -1, 0 and 1 in two bits, four outputs a byte, and one scale a matrix.",
        "TE-01 TE-01b TE-02 TE-02b TE-02c TE-03 TE-04 TE-04b",
    ),
    "bitlinear": ("The scale divides the codes.", ""),
    "autobitlinear": ("The scale multiplies the codes.", ""),
    "quotient-overflows": ("One over the scale is beyond its dtype.", ""),
    **{
        f"policy-bitnet-{policy}": (text, "")
        for policy, text in {
            "method-alone": "The config names the method alone: the scale divides.",
            "no-class": "The config names no layer: the scale divides.",
            "no-mode": "Weights are stored packed unless the config says otherwise.",
            "no-norm": "The config says that layers do not normalise their inputs.",
            "all-left-out": "Tensors say which modules are packed.",
            "scale-without-axes": "The scale has no axis.",
        }.items()
    },
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "autobitlinear": ("The scales multiply.", ""),
    "no-class": ("The config names no layer: the scales divide.", ""),
    "unpacked": ("Whole numbers are stored as floats, beside their scales.", ""),
    "online": ("Weights are whole, and made ternary as the model runs.", ""),
    "rms-norm": ("Each layer normalises its inputs.", ""),
}
