"""What is written beside exported tests of ``pack-quantized`` (see the notes of GPTQ)."""

from __future__ import annotations

_RELEASE = "Padded words, by their number or by the release that the config names."
FLAG_NOTES: dict[str, tuple[str, str]] = {
    "ct_packed": (
        "compressed-tensors' pack-quantized: codes along the inputs, zero points along the outputs.",
        "CT-01",
    ),
    "compressed-tensors": ("A config of compressed-tensors.", ""),
    "ct": ("Packed by compressed-tensors itself.", ""),
    "ct_int": ("Some modules are int-quantized.", ""),
    "bits-5": ("Codes of 5 bits, some of which lie in two words.", "PK-08"),
    "bits-6": ("Codes of 6 bits, some of which lie in two words.", "PK-08"),
    "bits-7": ("Codes of 7 bits, some of which lie in two words.", "PK-08"),
    "strategy-group": ("A scale for each group of inputs of an output.", ""),
    "strategy-channel": ("A scale for each output.", ""),
    "strategy-tensor": ("One scale for the whole weight.", ""),
    "padded-words": ("As many whole codes a word as fit, as before release 0.18.", "PK-08"),
    "symmetric": ("The zero point is the middle of the range, and not stored.", ""),
    "asymmetric": ("Zero points differ, and are stored like codes.", "ZP-22 CT-02"),
    "sequential": ("A map of groups that says what its absence would.", ""),
    "act-order": ("The map of groups is a permutation of the sequential one.", "CT-03"),
    "arbitrary-groups": ("The map of groups is no permutation of the sequential one.", "CT-03"),
    "mixed-bits": ("Modules of one checkpoint differ in the width of their codes.", ""),
    **{
        f"policy-ct_packed-{id}": (text, "")
        for id, text in (
            ("padded-words", _RELEASE),
            ("release-before-0.18", _RELEASE),
            ("map-of-minus-one", "A map with a -1 in it is none."),
            ("no-weight_shape", "The groups tell the number of inputs."),
            ("format-in-the-group", "The format of a group counts before that of the config."),
            ("activations-too", "What is said of activations and of the cache changes no weight."),
            ("strategy-not-said", "A group size without a strategy means groups."),
            ("actorder-weight", "actorder: weight changes how codes were found, not how they are stored."),
        )
    },
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "compression_config": (
        "The settings are under the key that compressed-tensors wrote before transformers knew it.",
        "",
    ),
    "compression_config-one-level-down": ("The same, one level down.", ""),
    "old-release": ("Written before release 0.18: words are padded.", "PK-08"),
    "act-order": ("Every module has a map of groups of its own.", "CT-03"),
    "several-groups": ("Groups of several widths and formats, by names, patterns and classes.", ""),
    "named-after-awq": ("A folder that is called AWQ, and is not.", ""),
    "a-module-that-no-group-targets": ("A packed module that no group of the config targets.", ""),
    "format-dense": ("The settings say that nothing is packed.", ""),
    "no-weight_zero_point": ("One module lacks its zero points, and is not symmetric.", "ZP-22"),
}
