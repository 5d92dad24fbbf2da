"""What is written beside exported tests of torchao's MX and NVFP4 (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "torchao_mx": ("torchao's MX and NVFP4: small floats, as the header of the file says.", "TX-07"),
    "torchao-mxfp8": ("MXTensor of E4M3: a power of two for 32 inputs.", "TX-04 TX-04b TX-05"),
    "torchao-mxfp4": ("MXTensor of E2M1, two codes a byte, the low one first.", "TX-02 TX-04 TX-04b"),
    "torchao-nvfp4": ("NVFP4Tensor: E2M1 codes, a byte of E4M3 for 16 inputs.", "TX-02 TX-06"),
    "swizzled": ("Scales lie in tiles of 128 outputs and 4 groups, padded.", "TX-01 TX-01b TX-01c"),
    "scale-of-the-matrix": ("A float32 multiplies all scales.", "TX-03 TX-03b TX-03c"),
    "policy-torchao_mx-swizzled": ("The same scales in tiles and in rows.", "TX-01 TX-01b TX-01c"),
    "policy-torchao_mx-padding": ("What lies in the padding of tiles is nobody's.", ""),
    "policy-torchao_mx-activations": ("What is said of activations changes no weight.", ""),
    "policy-torchao_mx-scale-of-one": ("A scale of the matrix that is 1, and none.", ""),
    "policy-torchao_mx-swizzled-absent": ("NVFP4Tensor's scales are in rows where nothing is said.", ""),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "all-kinds": ("MX of four and of eight bits and NVFP4, by the names of modules.", ""),
    "nvfp4": ("NVFP4Tensor with a scale of the matrix.", ""),
    "scale-of-the-matrix-lost": ("One module lacks the scale of the matrix that its header names.", ""),
    "labelled-nvfp4": ("The header says NVFP4 of MX.", ""),
    "labelled-float8": ("The header says Float8Tensor, and has not its attributes.", ""),
    "of-six-bits": ("The header says floats of six bits, which are not decoded.", ""),
}
