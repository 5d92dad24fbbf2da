"""What is written beside exported tests of quanto's narrow codes (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "quanto_int4": (
        "quanto's qint4 and qint2: codes in rows of a group each, times a scale, less a shift; both steps are rounded.",
        "QN-01 QN-02 QN-03 QN-04 #quanto",
    ),
    "policy-quanto_int4-of-transformers": ("The width is spelt as transformers' QuantoConfig spells it.", ""),
    "policy-quanto_int4-map": ("The width is in a map by the names of modules.", ""),
    "policy-quanto_int4-activations": ("What is said of activations changes no weight.", ""),
    "policy-quanto_int4-spare-bits": ("The bits of the last bytes that hold no code are set.", ""),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "qmap-only": (
        "Only quanto_qmap.json says what is packed, and only the model what has which shape.",
        "",
    ),
    "three-types": ("The map names three widths.", ""),
    "labelled-2-bits": ("The map says 2 bits of a module whose codes have 4.", ""),
    "labelled-8-bits": ("The map says 8 bits of a module whose codes have 4.", ""),
    "a-group-short": ("One module has two groups fewer than the model's layer.", ""),
    "of-no-model": ("Nothing says how many inputs a module has.", ""),
}
