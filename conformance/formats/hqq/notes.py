"""What is written beside exported tests of HQQ (see the notes of GPTQ)."""

from __future__ import annotations

from .policies import OPTIONAL

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "hqq": (
        "HQQ: codes in rows of bytes, less a zero point that is a float, times a scale; both steps are rounded.",
        "HQ-01 HQ-02 HQ-03 HQ-04 HQ-05 HQ-06 HQ-07 #hqq",
    ),
    "axis-1": ("A scale belongs to neighbours in a row of the flattened matrix.", "HQ-03"),
    "axis-0": ("A scale belongs to weights that lie a whole row of groups apart.", "HQ-03"),
    "as-float": ("Words lie under the dtype of a float.", "HQ-05"),
    "bits-1": ("Codes of 1 bit.", "HQ-01"),
    "signed-zeros": ("Zeros of either sign are among the weights.", ""),
    "groups-across-rows": ("Groups cross the ends of the matrix's rows.", "HQ-03b"),
    **{
        f"policy-hqq-{policy}": (text, "")
        for policy, text in (
            {
                "as-float": "Words lie under the dtype of a float.",
                "wide-axis": "A number is stored in 64 bits.",
                "one-axis-more": "A number has an axis of one.",
                "labelled-8bit": "The config says 8 bits, the tensors 4.",
                "labelled-g64": "The config says groups of 64, the tensors 32.",
                "labelled-axis-0": "The config says axis 0, the tensors axis 1.",
                "tags": "The config has settings for each kind of layer.",
                "bare": "The config says width and group size alone.",
                "filled-words": "What fills the last words of 3 bits is not zero.",
                "high-bits": "The two bits of a word that hold no code are set.",
            }
            | {f"no-{name}": f"Nothing says {name}." for name in OPTIONAL}
        ).items()
    },
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "axis-0": ("Groups across the outputs.", "HQ-03"),
    "tags": ("Each kind of layer has settings of its own, by its tag.", ""),
    "labelled-8-bits": ("The config says other settings than the tensors, which decide.", ""),
    "packed-zero-points": ("Zero points of one module are packed themselves.", ""),
    "shape-unheard-of": ("The shape of one module has one axis.", ""),
    "packing-unheard-of": ("One module is packed in a way that nobody knows.", ""),
    "no-shape": ("Nothing says the shape of one module.", ""),
}
