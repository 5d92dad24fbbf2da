"""What is written beside exported tests of AWQ gemm (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "scaled-activation": (
        "act.scales [in] stands beside the layer: the divisor of each input, by which the columns were multiplied.",
        "SA-01 SA-02 SA-03",
    ),
    "negative": ("Divisors below zero, which turn the sign of a column.", "SA-01 SA-02"),
    "subnormal": ("Divisors below the smallest normal float16.", "SA-04"),
    "policy-awq-divisors-of-one": ("Divisors of one change nothing.", ""),
    "policy-awq-divisors-of-a-group": ("Divisors that are powers of two, one a group, are in its scales.", "SA-02"),
    "policy-awq-divisors-float32": ("The dtype of divisors changes no weight.", ""),
    "awq-else": (
        "Of a width other than 4, or named by AutoRound or after another packing: no claim of AutoAWQ's own readers.",
        "AR-05",
    ),
    "awq": (
        "AWQ gemm: codes and zero points packed along the outputs, eight columns interleaved in a word, no offset.",
        "PK-02 PK-04 PK-18 CF-05 CF-05b ZP-05 ZP-11",
    ),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "gemv": ("An AWQ checkpoint of version gemv.", "CF-04"),
}
