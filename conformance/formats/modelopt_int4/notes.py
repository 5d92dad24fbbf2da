"""What is written beside exported tests of ModelOpt's INT4 (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "modelopt_int4": (
        "ModelOpt's INT4 (AWQ): a byte holds the signed codes of two outputs, the even one in its low half.",
        "MO-01 MO-02 MO-03 MO-06 MO-06b MO-07 MO-08",
    ),
    "pre_quant_scale": (
        "Every input has a scale of its own, which is moved into the weight.",
        "MO-04 MO-04b MO-04c MO-05",
    ),
    **{
        f"policy-modelopt_int4-{policy}": (text, "")
        for policy, text in {
            "no-group_size": "Only the tensors say how large groups are, as in ModelOpt's config.json.",
            "flags": "What is said of zero points and scales of inputs changes no weight.",
            "cache-in-fp8": "What is said of the cache changes no weight.",
            "input_scale": "A scale of activations beside the weight changes nothing of it.",
            "inputs-of-one": "Scales of inputs that are all 1 change nothing.",
            "inputs-of-a-group": "Inputs of a group have one power of two as their scale, which the group's could be.",
            "inputs-float32": "Scales of inputs are the same numbers in float32.",
        }.items()
    },
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "scaled-inputs": ("As ModelOpt writes it: two files of settings, and scales of inputs in two modules.", "MO-04"),
    "scales-of-the-cache": ("Scales of the cache lie beside the weights.", ""),
    "mixed-precision": ("Modules are INT4 or FP8, by their names.", ""),
    "sidecar-of-other-groups": ("The sidecar says of groups what no tensor fits.", ""),
}
