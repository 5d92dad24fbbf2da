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
    "autoround": "autorounds-label-says-where-zero-points-begin",
    "null": "null-means-absent-and-capitals-mean-nothing",
    "swapped": "gptqmodels-3-bit-zero-points-before-70-are-put-right",
    "bitsandbytes": "bitsandbytes-numbers-are-those-of-the-type",
    "aqlm": "aqlms-sums-are-rounded-to-the-even-number-wherever-they-are-made",
    "vptq": "vptqs-steps-are-rounded-one-by-one-and-its-settings-say-what-a-module-has",
    "paroquant": "paroquants-turns-and-scales-of-inputs-are-moved-into-the-weight-in-float32",
    "sinq": "sinqs-file-of-descriptions-says-what-its-tensors-are-and-each-step-is-rounded",
    "quanto": "quantos-modules-are-what-its-map-says",
    "hqq": "hqqs-tensors-say-what-they-are-and-each-step-is-rounded",
}
FLAGS: dict[str, tuple[str, str]] = {
    # Settings.
    "bits-2": ("Codes of 2 bits.", "PK-07"),
    "bits-3": ("Codes of 3 bits, some of which lie in two words where they are packed into words.", ""),
    "bits-4": ("Codes of 4 bits.", ""),
    "bits-8": ("Codes of 8 bits.", ""),
    "group-size-32": ("A group has 32 inputs.", "ZP-18"),
    "group-size-64": ("A group has 64 inputs.", "CF-02"),
    "group-size-128": ("A group has 128 inputs.", "CF-02"),
    "group-size--1": ("Group size -1: all inputs are one group.", "GI-12 GI-13 GI-14b"),
    **{f"group-size-{size}": (f"A group has {size} inputs.", "CF-02") for size in (16, 256, 512, 1024)},
    "group-size-other": ("The group size is none of the usual ones.", "CF-02 GI-12"),
    "legacy-config": (
        "The settings are spelt as old producers do: w_bit, q_group_size, no quant_method.",
        "GI-14 ZP-17",
    ),
    "out-dtype": (
        "Another dtype is asked for than that of the scales; the exact product is rounded once, into that one.",
        "SC-12b SC-12c #rounding",
    ),
    # Shapes.
    "odd-width": ("Inputs or outputs are no multiple of 32.", "PK-07"),
    "ragged": ("The inputs do not fill the last group, or the last word, or MLX has no such groups.", "GI-16 PK-07"),
    "short-last-group": ("The last group has fewer inputs than the others.", "GI-16"),
    "square": ("qweight and the weight are square, so a missing transpose keeps the shape.", "PK-18"),
    "groups-times-8-equals-out": ("qzeros is square, so its axes can be mistaken for each other.", "PK-03"),
    # Zero points and words.
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
    "policy-null": ("A setting is null, which means the same as an absent key.", "NL-01 #null"),
    "policy-case": ("A name is spelt in capitals, which means the same.", "NL-02 #null"),
    "policy": ("Upstream's readers, labels or producers disagree; the answer is a written policy.", ""),
}
