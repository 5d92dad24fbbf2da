"""What is written beside exported tests of AQLM (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "aqlm": (
        "AQLM: a block of weights is a sum of entries of codebooks, times the scale of its row of blocks.",
        "AQ-01 AQ-02 AQ-03 AQ-04 AQ-05",
    ),
    "one-codebook": ("A block is one entry.", "AQ-05"),
    "several-codebooks": ("A block is a sum of one entry of each codebook.", "AQ-04 AQ-06 AQ-07"),
    "blocks-of-rows": ("A block has weights of several outputs.", "AQ-02 AQ-08"),
    **{f"bits-{bits}": (f"Codes of {bits} bits.", "AQ-01") for bits in (1, 5, 6, 7, 9, 10, 12)},
    "bits-16": ("Codes of 16 bits, as AQLM's 1x16 models have.", ""),
    "sums-between-two": ("Sums lie in the middle between two bfloat16.", "#aqlm AQ-10"),
    **{
        f"policy-aqlm-{policy}": (text, words)
        for policy, (text, words) in {
            "no-num_codebooks": ("One codebook, because nothing is said.", ""),
            "no-out_group_size": ("Blocks of one output, because nothing is said.", ""),
            "no-in_group_size": ("Blocks of eight inputs, because nothing is said.", ""),
            "no-linear_weights_not_to_quantize": ("No weights that are left dense are listed.", ""),
            "everything-left-out": ("Tensors say which modules are packed.", ""),
            "codes-from-0": ("Codes of the upper half are not stored as negative ones.", "AQ-01"),
            "codes-with-other-bits": ("A byte holds more than its code.", "AQ-01"),
            "bare": ("The config says nothing but its method.", ""),
        }.items()
    },
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "two-codebooks": ("Two codebooks, as AQLM's 2x8 models have.", ""),
    "blocks-of-rows": ("Blocks of four outputs.", ""),
    "defaults": ("The config leaves out what transformers takes for granted.", ""),
    "saved-after-a-run": ("Codes were turned by a run on a CPU before they were saved.", ""),
    "no-codebooks": ("One module lacks its codebooks.", ""),
}
