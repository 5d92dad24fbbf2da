"""What is written beside exported tests of planar GPTQ (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "gptq_planar": (
        "GPTQ in planes: of each 32 codes the low bits come first, in words of their own, then higher ones; so do zero "
        "points, which are stored as they are.",
        "PL-01 PL-02 PL-03 PL-04 PL-05 PL-06",
    ),
    "one-plane": ("A width of one plane: the words are those of every other GPTQ.", "PL-04"),
    "policy-gptq_planar-one-plane": ("The same module as version 2 of GPTQ, which it is bit for bit.", "PL-04"),
    "policy-gptq_planar-format": ("The label stands under format, not checkpoint_format.", "CF-05"),
    "policy-gptq_planar-as-written": ("All the keys that GPTQModel writes beside each other.", ""),
    "policy-gptq_planar-sym-not-said": ("sym is not said: zero points are as they are stored.", ""),
    "policy-gptq_planar-g_idx": ("A sequential g_idx says what its absence does.", "GI-09"),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "mixed-widths": ("Rules give modules widths of their own, of one plane and of several.", "CF-12 MD-06"),
    "act-order": ("Every module has a g_idx of its own.", "GI-02 GI-10"),
    "named-gptq_v2": ("The config says gptq_v2 of codes of 5 bits, which have no other form than planes.", ""),
}
