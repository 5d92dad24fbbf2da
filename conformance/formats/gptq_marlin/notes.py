"""What is written beside exported tests of Marlin's tiles (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "gptq_marlin": (
        "Marlin: tiles of 16 inputs by 16 outputs in the order of a tensor core, scales permuted to match, and a zero "
        "point of 8 that is not stored.",
        "ML-01 ML-02 ML-03 ML-04 ML-05 ML-06",
    ),
    "gptq-marlin": ("By AutoGPTQ, which calls the tensors B and s.", ""),
    "awq-marlin": ("The same by AutoAWQ, which calls the tensors qweight and scales.", "ML-06"),
    "policy-gptq_marlin-names": ("The same module by AutoAWQ's names.", "ML-06"),
    "policy-gptq_marlin-label": ("The same module by another label for it.", "CF-05"),
    "mixed-scales": ("Positive, negative, subnormal and zero scales of either sign.", ""),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "awq": ("Tiles by AutoAWQ, called qweight and scales.", ""),
    "labelled": ("The label is checkpoint_format, as AutoGPTQ's successors spell it.", ""),
    "named-gptq": ("Tiles whose config does not say marlin.", ""),
    "named-gemm": ("Tiles of AutoAWQ whose config says gemm.", "CF-04"),
}
