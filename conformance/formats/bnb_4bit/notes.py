"""What is written beside exported tests of bitsandbytes' 4 bits (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "bnb_4bit": (
        "bitsandbytes, 4 bits: codes of listed numbers, times the scale of a block of the flattened matrix.",
        "BN-01 BN-01b BN-02 BN-03 BN-03b BN-04 BN-06",
    ),
    "nf4": ("NF4: the halves of a normal distribution.", "BN-01"),
    "fp4": ("FP4: a float of two bits of exponent and one of fraction, divided by 12.", "BN-01 BN-01b BN-06"),
    "double": (
        "Scales are bytes themselves, of numbers with scales of their own, and an offset.",
        "BN-05 BN-05b BN-05c BN-05d",
    ),
    "odd": ("Rows of odd length: a byte holds codes of two rows.", "BN-03b"),
    "across-rows": ("A block does not end where a row does.", "BN-03"),
    "stored-uint8": ("Codes are stored as bytes.", ""),
    "stored-int8": ("The same bytes under another dtype.", ""),
    "stored-float16": ("The same bytes under the dtype of a float (quant_storage).", "BN-07"),
    "stored-bfloat16": ("The same bytes under the dtype of a float (quant_storage).", "BN-07"),
    "stored-float32": ("The same bytes under the dtype of a float (quant_storage).", "BN-07"),
    "zero-of-either-sign": (
        "Code 8 of FP4 is -0 to the kernels and 0 to the operation in PyTorch.",
        "#bitsandbytes BN-06",
    ),
    "storage": ("Packed by bitsandbytes with another quant_storage.", "BN-07"),
    **{
        f"policy-bnb_4bit-{policy}": (text, words)
        for policy, (text, words) in {
            "no-quant_method": ("No quant_method, as in configs of 2023.", ""),
            "underlined": ("The width is said by _load_in_4bit.", ""),
            "both-spellings": ("The width is said under both spellings.", ""),
            "no-load_in_8bit": ("Only one width is mentioned.", ""),
            "labelled-fp4": ("The config says FP4, the tensors NF4: the tensors decide.", "#bitsandbytes"),
            "labelled-double": ("The config says that scales are packed, and they are not.", "#bitsandbytes"),
            "skip-modules": ("Modules that are left dense are listed.", ""),
            "stored-as-int8": ("The same bytes as int8.", "BN-07"),
            "stored-as-float16": ("The same bytes as float16.", "BN-07"),
            "stored-as-bfloat16": ("The same bytes as bfloat16.", "BN-07"),
            "stored-as-float32": ("The same bytes as float32.", "BN-07"),
            "half-absmax": ("Scales of 16 bits are widened.", ""),
            "map-off-by-a-bit": ("quant_map is not read: numbers are those of the type.", "#bitsandbytes"),
            "json-otherwise-written": ("The JSON has other blanks, and another order.", ""),
        }.items()
    },
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "codes-stored-as-bfloat16": ("Codes have the dtype of a float, and are no dense weights.", "BN-07"),
    "double": ("Scales are packed too.", ""),
    "no-quant_method": ("The config names no method, as in 2023.", ""),
    "both-spellings": ("The width is said under both spellings.", ""),
    "gptqmodel-s-names": ("GPTQModel's names for the same tensors.", ""),
    "no-quant_state": ("One module has nothing that says what shape it is.", ""),
}
