"""What each flag says of a test, with the mutants it is there for, and policies behind a ``#``."""

from __future__ import annotations

# Short names of the headings of docs/policies.md, as their anchors.
POLICY = {
    "ones": "a-stored-gptq-zero-point-of-all-ones-is-0",
    "borrow": "gptqmodels-borrow-is-undone-by-a-carry",
    "label": "a-symmetric-file-outranks-its-label",
    "g_idx": "g_idx-outranks-desc_act",
    "finite": "non-finite-scales-are-refused",
    "rounding": "rounding",
}
_BORROW = (
    "GPTQModel wrote the zero points by one subtraction of 0x11111111 from each packed word; the whole word is added "
    "back with its carries."
)

FLAGS: dict[str, tuple[str, str]] = {
    # Formats and settings.
    "gptq": (
        "GPTQ version 1: codes packed along the inputs, zero points along the outputs and stored minus one.",
        "PK-01 PK-01b PK-04 PK-18 ZP-12a ZP-12b",
    ),
    "awq": (
        "AWQ gemm: codes and zero points packed along the outputs, eight columns interleaved in a word, no offset.",
        "PK-02 PK-04 PK-18 CF-05 CF-05b ZP-05 ZP-11",
    ),
    "symmetric": ("sym is true, or absent: the zero point meant is 8, stored as 7.", "ZP-15 ZP-16"),
    "asymmetric": ("Zero points differ.", "ZP-12a ZP-12b ZP-20 ZP-21 SC-08"),
    "group-size-32": ("A group has 32 inputs.", "ZP-18"),
    "group-size-64": ("A group has 64 inputs.", "CF-02"),
    "group-size-128": ("A group has 128 inputs.", "CF-02"),
    "group-size--1": ("Group size -1: all inputs are one group.", "GI-12 GI-13 GI-14b"),
    "group-size-other": ("The group size is none of 32, 64, 128 and -1.", "CF-02 GI-12"),
    "legacy-config": (
        "The settings are spelt as old producers do: w_bit, q_group_size, no quant_method.",
        "GI-14 ZP-17",
    ),
    "out-dtype": (
        "Another dtype is asked for than that of the scales; the exact product is rounded once, into that one.",
        "SC-12b SC-12c #rounding",
    ),
    # The group map.
    "no-g_idx": ("No g_idx: input i is in group i // group_size.", "GI-07 #g_idx"),
    "sequential": ("A g_idx that says what its absence would: i // group_size.", "GI-09"),
    "act-order": ("g_idx is a permutation of the sequential map.", "GI-01 GI-03 GI-06 #g_idx"),
    "permuted-groups": ("A map drawn at random with groups of equal size.", "GI-01 GI-03 GI-06 #g_idx"),
    "arbitrary-groups": ("g_idx is no permutation of the sequential map: groups differ in size.", "GI-01 GI-06 #g_idx"),
    "group-map-arbitrary": ("A map written by hand, which no quantiser gives.", "GI-01 GI-06 #g_idx"),
    "empty-group": ("No input belongs to one of the groups.", "GI-06"),
    "static-groups": ("desc_act with static_groups: the map is sequential in spite of the flag.", "GI-09 #g_idx"),
    # Shapes.
    "odd-width": ("Inputs or outputs are no multiple of 32.", "PK-07"),
    "ragged": ("The inputs are no multiple of the group size.", "GI-16 PK-07"),
    "short-last-group": ("The last group has fewer inputs than the others.", "GI-16"),
    "square": ("qweight and the weight are square, so a missing transpose keeps the shape.", "PK-18"),
    "groups-times-8-equals-out": ("qzeros is square, so its axes can be mistaken for each other.", "PK-03"),
    # Zero points and words.
    "zero-point-0": ("A zero point of 0 occurs; GPTQ stores it as 15.", "ZP-03 ZP-04 ZP-07 ZP-08 ZP-09 #ones"),
    "true-zero-0": ("The quantiser meant a zero point of 0.", "ZP-05 ZP-06 ZP-08 PK-13"),
    "stored-zero-all-ones": (
        "A stored zero point of all ones, which AutoGPTQ's two readers take for 16 and for 0. It is 0.",
        "ZP-03 ZP-04 ZP-08 #ones",
    ),
    "smeared-zeros": (
        "AutoGPTQ's packer filled all fields above a zero point of 0 with ones; they are 0 like any field of all ones.",
        "ZP-07 #ones",
    ),
    "every-zero-point": ("Every zero point occurs in every field of a word.", "ZP-10 ZP-21 PK-12 PK-17"),
    "negative-words": ("Packed words with their highest bit set, negative as int32.", "PK-14 PK-14b"),
    # Scales and weights.
    "scales-float16": ("The scales are float16.", "PK-04b"),
    "scales-bfloat16": ("The scales are bfloat16, and so is the weight.", "PK-04b SC-09b SC-12a"),
    "bf16-scales": ("The scales of an upstream module are bfloat16.", "PK-04b SC-09b SC-12a"),
    "scales-float32": ("The scales are float32, and so is the weight.", "SC-12a"),
    "negative-scales": ("Scales below zero, which also make weights of -0.0.", "SC-08b #rounding"),
    "negative-zero-weights": (
        "A negative scale times zero is -0.0, and differs from 0.0 in its bits.",
        "SC-08b #rounding",
    ),
    "subnormal-scales": ("Scales below the smallest normal number.", "SC-10b SC-10c"),
    "huge-scales": ("Scales near the largest finite number; products may overflow.", "SC-09 SC-10d"),
    "overflows-to-inf": ("Products beyond the range, which become infinite with the right sign.", "SC-10d #finite"),
    "zero-scales": ("Scales of 0.0 and -0.0.", "SC-08b"),
    "any-finite-scales": ("Scales with exponents from end to end of the range, and both signs.", "SC-09 SC-10b SC-10d"),
    # Biases. They are not part of the weight.
    "bias": ("The module has a bias; the weight does not depend on it.", ""),
    "no-bias": ("The layer that was packed had no bias; the packer may have stored one of zeros.", ""),
    "zero-bias": ("The layer that was packed had a bias of zeros.", ""),
    "real-bias": ("The layer that was packed had a bias.", ""),
    # Where it comes from.
    "real": ("A module of a model that a real quantiser packed.", "GI-18 SC-08"),
    "kept": ("The smallest generated module on which some mutant was caught; its comment names the mutant.", ""),
    "policy": ("Upstream's readers, labels or producers disagree; the answer is a written policy.", ""),
    "borrowed-zeros": (
        "GPTQModel packed it, and a zero point of 0 borrowed from the field above it.",
        "ZP-09b #borrow",
    ),
    "policy-gptqmodel-0.9.0-borrow": (_BORROW, "ZP-09b #borrow"),
    "policy-gptqmodel-1.4.2-borrow": (_BORROW, "ZP-09b #borrow"),
    "policy-gptqmodel-7.7.0-borrow": (_BORROW, "ZP-09b #borrow"),
    "policy-v1-label-stores-eights": (
        "sym is true, the label says gptq, and every stored field is 8: the label is wrong and the zero point is 8.",
        "ZP-01 #label",
    ),
    "policy-v2-label-stores-sevens": (
        "sym is true, the label says gptq_v2, and every stored field is 7: the label is wrong and the zero point is 8.",
        "ZP-02 #label",
    ),
    "policy-symmetric-without-qzeros": ("sym is true and there are no qzeros: the zero point is 8.", "ZP-23 #label"),
    "policy-symmetric-with-other-zeros": (
        "sym is true, but the stored zero points differ: they are read as they are stored.",
        "ZP-14 #label",
    ),
    "policy-eights-in-all-fields-but-one": (
        "One stored field differs from 8, so the label of a symmetric file is not shown to be wrong, and stands.",
        "ZP-14 #label",
    ),
    "policy-eights-and-a-nine": (
        "The same with one stored field of 9: the label of the symmetric file stands.",
        "ZP-14 #label",
    ),
    "policy-eights-without-sym": (
        "Every stored field is 8 and sym is not said: no label is shown to be wrong, and the zero point is 9.",
        "ZP-01 #label",
    ),
    "policy-one-group-without-g_idx": (
        "desc_act with one group and no g_idx: there is nothing to order.",
        "GI-07 #g_idx",
    ),
    "policy-short-last-group-without-g_idx": (
        "The last group is short, and no g_idx says so: the groups are consecutive.",
        "GI-16",
    ),
    "policy-g_idx-in-order-of-2080": ("A sequential g_idx of as many inputs as real matrices have.", "GI-09 #g_idx"),
    "policy-g_idx-in-order": ("A sequential g_idx where desc_act is false.", "GI-09 #g_idx"),
    "policy-static-groups-without-g_idx": (
        "desc_act and static_groups without g_idx: the groups are consecutive.",
        "GI-07 #g_idx",
    ),
}
