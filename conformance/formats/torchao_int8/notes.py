"""What is written beside exported tests of torchao's bytes (see the notes of GPTQ)."""

from __future__ import annotations

from ...bits.array import FLOATS

_POLICIES = {
    "no-quant_type": "The recipe by which it was packed is not there.",
    "another-recipe": "The recipe says another class than the header of the file, which decides.",
    "spaces": "The text in the header is written with spaces and in another order.",
    "dynamic-activations": "What is said of activations changes no weight.",
    "static-activations": "Scales of activations beside the weight change nothing of it.",
    "zeros-of-zero": "Zero points that are all 0 mean the same as none.",
    "narrow": "The same bytes under the class of narrower codes.",
}
FLAG_NOTES: dict[str, tuple[str, str]] = {
    "torchao_int8": (
        "torchao's plain integers: a signed byte a code, scales of blocks, and the class in the header of the file.",
        "TO-01 TO-01b TO-02 TO-02b TO-03 TO-03b TO-04",
    ),
    **{f"is-{dtype}": (f"The header says that the weight is {dtype}.", "TO-04") for dtype in FLOATS},
    "int8-tensor": ("The class is Int8Tensor.", ""),
    "intx-tensor": ("The class is IntxUnpackedToInt8Tensor: codes of fewer bits in bytes.", ""),
    "strategy-block": ("A scale for each block of outputs and inputs.", ""),
    **{f"policy-torchao_int8-{policy}": (text, "") for policy, text in _POLICIES.items()},
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "both-classes": ("Modules of both classes.", ""),
    "plain-tensors-too": ("The header describes the tensors that are left dense as well.", ""),
    "header-lost": ("The header of the file says nothing of the weights.", ""),
    "headers-differ": ("Two files describe one weight differently.", ""),
    "described-as-dense": ("The header says of a packed weight that it is dense.", ""),
    "packed-bias": ("A bias is packed like the weight.", ""),
    "no-_weight_zero_point": ("One module lacks zero points that its header describes.", ""),
    "tile-packed": ("One module is stored in the order of a kernel.", ""),
}
