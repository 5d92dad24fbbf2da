"""What is written beside exported tests of LLM.int8 (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "bnb_int8": (
        "bitsandbytes LLM.int8: a signed byte a weight, times the largest magnitude of its row, times about 1/127.",
        "BN-08 BN-08b BN-08c BN-09 BN-09b",
    ),
    **{
        f"policy-bnb_int8-{policy}": (text, "")
        for policy, text in {
            "no-quant_method": "No quant_method, as in configs of 2023.",
            "underlined": "The width is said by _load_in_8bit.",
            "both-spellings": "The width is said under both spellings.",
            "no-load_in_4bit": "Only one width is mentioned.",
            "skip-modules": "Modules that are left dense are listed.",
            "threshold": "What is said of activations changes no weight.",
            "no-weight_format": "Nothing says in which order rows are: in order.",
            "weight_format-with-an-axis": "The order of rows has an axis of one.",
        }.items()
    },
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "no-quant_method": ("The config names no method, as in 2023.", ""),
    "both-spellings": ("The width is said under both spellings.", ""),
    "tiled-for-a-gpu": ("One module is stored in the order of a kernel.", ""),
}
