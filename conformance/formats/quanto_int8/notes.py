"""What is written beside exported tests of quanto's bytes (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "quanto_int8": ("quanto's qint8: one signed byte a code, one scale an output.", "QO-01 QO-02 QO-03"),
    "policy-quanto_int8-of-transformers": ("The width is spelt as transformers' QuantoConfig spells it.", ""),
    "policy-quanto_int8-map": ("The width is in a map by the names of modules.", ""),
    "policy-quanto_int8-scales-of-activations": ("Scales of activations beside the weight change nothing of it.", ""),
    "policy-quanto_int8-activations": ("What is said of activations changes no weight.", ""),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "qmap-only": ("Only quanto_qmap.json says that modules are packed.", ""),
    "int4-in-one-module": ("The map names 4 bits for one module whose codes have 8.", ""),
    "not-in-the-map": ("One packed module is missing from the map.", ""),
}
