"""What is written beside exported tests of AWQ gemv (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "policy-padding": (
        "What pads scales and zero points is not looked at.",
        "",
    ),
    "padded-groups": ("There is room for more groups than the matrix has; what lies there is nobody's.", "GV-02"),
    "awq_gemv": (
        "AWQ gemv: codes packed along the inputs and zero points along the groups, lowest nibble first, both in the "
        "row of their output; scales and zero points padded to whole reads of a kernel.",
        "GV-01 GV-02 GV-03",
    ),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "named-gemm": ("An AWQ checkpoint of version gemv whose config says gemm.", "CF-04"),
    "scaled-activation": ("A tensor by which an activation is divided, which has no place in the model.", ""),
}
