"""What is written beside exported tests of ParoQuant (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "paroquant": (
        "ParoQuant: AWQ's codes of a matrix whose inputs are scaled, and turned in pairs; what is decoded takes the "
        "inputs as they come.",
        "PQ-01 PQ-01b PQ-02 PQ-03 PQ-04 PQ-05 PQ-06 PQ-07 PQ-07b PQ-08 PQ-09 PQ-10 PQ-12 #paroquant",
    ),
    "one-rotation": ("Inputs are turned once.", "PQ-03"),
    "several-rotations": ("Inputs are turned several times, and back in the other order.", "PQ-02"),
    "policy-paroquant-label": ("A label, which says what the method says.", ""),
    "policy-paroquant-no-krot": ("How many rotations there are is seen from the tensors.", "CF-01"),
    "policy-paroquant-defaults": ("What is not said is the library's default.", "CF-01"),
    "policy-paroquant-pairs": ("The same pairs in another order, or turned by the opposite angle.", "PQ-07"),
    "policy-paroquant-columns": ("Scales of inputs in one axis.", ""),
    "policy-paroquant-angles": ("The same angles in a wider dtype.", "PQ-12"),
    "policy-paroquant-as-written": ("All the keys that GPTQModel writes beside each other.", ""),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "few-keys": ("The config has no width and no number of rotations.", "CF-01"),
    "dynamic": ("Rules give modules groups of their own.", "CF-12 MD-06"),
    "named-awq": ("Modules of ParoQuant whose config says AWQ.", "CF-04 PQ-01"),
    "pairs-of-the-matrix": ("Pairs are counted from the first input of the matrix, not of their group.", "PQ-08"),
}
