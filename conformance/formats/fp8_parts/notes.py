"""What is written beside exported tests of FP8 in parts (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "fp8_parts": ("FP8 in parts: quanto's qfloat8 and torchao's Float8Tensor.", "FT-01 FT-02 FT-03 FT-04"),
    "of-quanto": ("Under quanto's names: a scale for each output.", "FT-01 FT-03"),
    "of-torchao": ("Under torchao's names: scales of outputs, of blocks or of the matrix.", "FT-02 FT-04"),
    "policy-fp8_parts-of-transformers": ("The type is spelt as transformers' QuantoConfig spells it.", ""),
    "policy-fp8_parts-map": ("The type is in a map by the names of modules.", ""),
    "policy-fp8_parts-activations": ("What is said of activations changes no weight.", ""),
    "policy-fp8_parts-no-block": ("One scale of a matrix: no blocks are named, or one of its size.", ""),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "qmap-only": ("Only quanto_qmap.json says that modules are packed.", ""),
    "e5m2-in-one-module": ("The map names a type of which MLX opens no file.", ""),
    "e4m3fnuz-in-one-module": ("The map names a type of which MLX opens no file.", ""),
    "labelled-int8": ("The map says whole numbers of a module of floats.", ""),
    "torchao-tensor": ("torchao's scales of a matrix, and of groups in one module.", ""),
    "torchao-labelled-int8": ("The header says whole numbers of floats.", ""),
}
