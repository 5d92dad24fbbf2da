"""What is written beside exported tests of GPTQ in narrow words (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "gptq_narrow": (
        "GPTQ in words of 8 or 16 bits, as pack_dtype says: the same stream of codes, in more and shorter words.",
        "NW-01 NW-02 NW-03 NW-04 NW-05",
    ),
    "words-8": ("Words of 8 bits: int8 tensors.", "NW-01"),
    "words-16": ("Words of 16 bits: int16 tensors.", "NW-01 NW-02"),
    "policy-gptq_narrow-format": ("The label stands under format, not checkpoint_format.", "CF-05"),
    "policy-gptq_narrow-no-label": ("No label: version 1.", "CF-05"),
    "policy-gptq_narrow-as-written": ("All the keys that GPTQModel writes beside each other.", ""),
    "policy-gptq_narrow-words": ("The same module in words of 16 bits.", "NW-01 NW-02"),
    "policy-gptq_narrow-version-2": ("The same module with its zero points as they are.", "NW-03"),
    "policy-gptq_narrow-wide": ("The same module in words of 32 bits, which is GPTQ's version 2.", "NW-01"),
    "policy-gptq_narrow-mislabelled": ("Symmetric zero points that are all what the other label stores.", "ZP-01"),
    "policy-gptq_narrow-g_idx": ("A sequential g_idx says what its absence does.", "GI-09"),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "act-order": ("Every module has a g_idx of its own.", "GI-02 GI-10"),
    "int16-version-2": ("Words of 16 bits, and zero points as they are.", ""),
    "mixed-widths": ("Rules give modules widths and groups of their own.", "CF-12 MD-06"),
    "named-int32": ("Words of 8 bits whose config says 32.", ""),
    "named-int16": ("Words of 8 bits whose config says 16.", ""),
}
