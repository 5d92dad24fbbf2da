"""What is written beside exported tests of Quark's integers (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "quark_int": ("AMD Quark's integers of 2, 4 and 8 bits.", "QK-01"),
    "quark": ("A config of AMD Quark.", ""),
    "uint4": ("Eight unsigned numbers a word.", ""),
    "int4": ("Eight numbers a word, in two's complement.", "QK-01"),
    "uint2": ("Four unsigned numbers a byte, the first one highest.", "QK-05"),
    "int2": ("A signed number of two bits in each word.", "QK-01"),
    "uint8": ("One unsigned number a byte.", ""),
    "int8": ("One signed number a byte.", "QK-01"),
    "strategy-group": ("A scale for each group of inputs of an output; tensors are transposed.", "QK-03"),
    "strategy-channel": ("A scale for each output.", ""),
    "strategy-tensor": ("One scale for the whole weight.", ""),
    "symmetric": ("Zero points are 0, and stored all the same.", ""),
    "asymmetric": ("Zero points differ.", "QK-04"),
    "reorder": ("Nibbles of a word are interleaved, as in AWQ.", "QK-02"),
    "order": ("Nibbles of a word are in order.", "QK-02b"),
    "policy-quark_int-activations": ("What is said of activations changes no weight.", ""),
    "policy-quark_int-stages": ("A list of one type is that type.", ""),
    "policy-quark_int-pack_method-absent": ("Nibbles are interleaved unless the config says otherwise.", "QK-02"),
    "policy-quark_int-scale-of-one-axis": ("One scale, with an axis or without.", ""),
    "policy-quark_int-bytes-in-any-order": ("pack_method says nothing of bytes.", ""),
    "policy-quark_int-twos-in-any-order": ("pack_method says nothing of numbers of two bits.", ""),
    "policy-quark_int-capitals": ("The method in capitals.", ""),
    "policy-quark_int-method-absent": ("global_quant_config alone says whose config it is.", ""),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "w8a8": ("Activations are quantised as well, when the model runs.", ""),
    "by-patterns": ("The first pattern that fits a name decides; floats stand beside integers.", ""),
    "no-weight_zero_point": ("One module lacks its zero points.", "QK-04"),
    "two-stages": ("Weights are quantised twice, which is not decoded.", ""),
}
