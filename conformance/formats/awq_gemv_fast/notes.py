"""What is written beside exported tests of AWQ gemv_fast (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "policy-backend": (
        "A backend names the packer, whatever version stands beside it.",
        "CF-05",
    ),
    "policy-padding": (
        "What pads scales and zero points is not looked at.",
        "",
    ),
    "padded-groups": ("There is room for more groups than the matrix has; what lies there is nobody's.", "GV-02"),
    "awq_gemv_fast": (
        "AWQ gemv_fast: four outputs in a row of 16-bit words, in blocks of 64 inputs and an order of a kernel's own; "
        "each weight is a product plus a float, rounded once.",
        "GF-01 GF-02 GF-03 GF-04 GF-05 GF-06",
    ),
    "mixed-scales": ("Positive, negative, subnormal and zero scales of either sign.", ""),
    "llm-awq": ("The same by llm-awq, which calls the floats scaled_zeros.", "CF-05"),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "llm-awq": ("An AWQ checkpoint whose backend is llm-awq.", "CF-05"),
    "named-gemm": ("An AWQ checkpoint of version gemv_fast whose config says gemm.", "CF-04"),
    "named-gemv": ("An AWQ checkpoint of version gemv_fast whose config says gemv.", "CF-04"),
}
