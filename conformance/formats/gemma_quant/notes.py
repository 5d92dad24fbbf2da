"""What is written beside exported tests of Gemma's integers (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "gemma_quant": (
        "Gemma's own integers in transformers: 2, 4 or 8 bits, times the scale of an output, which is first rounded "
        "to the dtype of the weight.",
        "GE-01 GE-02 GE-02b GE-03",
    ),
    "embedding": ("The table of an embedding, packed under names of its own.", ""),
    "linear": ("The weight of a linear layer.", ""),
    **{
        f"policy-gemma_quant-{policy}": (text, "")
        for policy, text in {
            "bare": "The config says nothing but its method.",
            "no-num_bits": "No width is said: 4 bits.",
            "embedding": "The table of an embedding has names of its own.",
            "rules": "Other modules have other widths.",
            "quantize_embeddings": "Embeddings may be packed as well.",
            "everything-left-out": "Tensors say which modules are packed.",
            "uncalibrated-activations": "Scales of activations are 0: they are left as they are.",
            "clamped-activations": "What is done to activations changes no weight.",
        }.items()
    },
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "widths": ("Patterns of names give modules widths of their own.", ""),
    "leftmost-rule": ("Two patterns match; the one that matches further to the left decides.", ""),
    "first-of-two": ("Two patterns match at one place; the first one decides.", ""),
    "clamped": ("Activations are clamped as the model runs.", ""),
    "embedding": ("The embedding is packed.", ""),
    "rule-no-pattern": ("A pattern is no regular expression.", ""),
}
