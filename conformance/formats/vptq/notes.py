"""What is written beside exported tests of VPTQ (see the notes of GPTQ)."""

from __future__ import annotations

_SAID = {
    **{
        f"no-{key}": (f"The config does not say {key}.", "")
        for key in ("bias", "indices_as_float", "is_indice_packed", "vector_quant_dim", "in_features", "out_features")
    },
    "sizes-of-the-model": ("The config leaves sizes to the model.", ""),
    "an-error-of-training": ("The config has a setting of training.", ""),
    "shared": ("Settings go by the last part of a module's name.", ""),
    "layers-before-shared": ("A whole name outranks its last part.", ""),
    "left-out": ("Tensors say which modules are packed.", ""),
    "padding-of-ones": ("What is left of a row's last word means nothing.", ""),
    "residuals-0": ("No residuals are said as 0.", ""),
}
FLAG_NOTES: dict[str, tuple[str, str]] = {
    "vptq": (
        "VPTQ: vectors of outputs are entries of codebooks, times the scale of an input.",
        "VQ-03 VQ-04 VQ-05",
    ),
    "residuals": ("Entries of a second codebook are added.", "VQ-01 VQ-06 VQ-07"),
    "outliers": ("The first inputs have a codebook of their own.", "VQ-02"),
    "several-codebooks": ("Parts of the inputs have codebooks of their own.", "VQ-08"),
    "ordered-inputs": ("Inputs are stored in another order.", "VQ-03"),
    "not-scaled": ("Inputs have neither scales nor biases.", ""),
    **{f"bits-{bits}": (f"Codes of {bits} bits.", "") for bits in (1, 5, 6, 7, 9, 10, 11, 12, 13)},
    "bits-16": ("Codes of 16 bits, as most of VPTQ's models have.", ""),
    **{f"policy-vptq-{name}": note for name, note in _SAID.items()},
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "residuals": ("A second codebook is added.", ""),
    "outliers": ("The first inputs have a codebook of their own.", ""),
    "by-names": ("All sizes of a module by its whole name, as VPTQ writes it.", ""),
    "not-in-the-config": ("One module is packed, and nothing is said of it.", ""),
    "an-input-twice": ("An order holds one input twice.", ""),
    "no-centroids": ("One module lacks its codebook.", ""),
}
