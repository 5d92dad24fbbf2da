"""What is written beside exported tests of SINQ (see the notes of GPTQ)."""

from __future__ import annotations

from .policies import UNREAD

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "sinq": (
        "SINQ: codes less a zero point that is a float, times a scale of their group, times a scale of their input.",
        "SQ-01 SQ-02 SQ-03 SQ-04 SQ-05 SQ-06 #sinq",
    ),
    "rows": ("Scales lie one a row; an input has one scale for all outputs.", "SQ-03"),
    "tiles": ("Scales lie in tiles of as many outputs as inputs, and so do those of inputs.", "SQ-03b SQ-04"),
    "packed-scales": ("Scales and zero points are bytes, times a step, and a least number.", "SQ-07"),
    "nf3": ("Codes stand for the levels of NF3.", "SQ-08"),
    "nf4": ("Codes stand for the levels of NF4.", "SQ-08"),
    "one-zero": ("One zero point is for all, and promotes nothing.", "SQ-06c"),
    "inputs-of-one": ("Scales of inputs are all 1.", ""),
    "as-float": ("Words lie under the dtype of a float.", "SQ-09"),
    "bits-1": ("Codes of 1 bit.", "SQ-01"),
    "bits-5": ("Codes of 5 bits.", "SQ-01"),
    "bits-6": ("Codes of 6 bits.", "SQ-01"),
    "is-float16": ("The weight is float16.", ""),
    "is-bfloat16": ("The weight is bfloat16.", ""),
    "is-float32": ("The weight is float32.", ""),
    **{
        f"policy-sinq-{policy}": (text, "")
        for policy, text in (
            {
                "no-compute_dtype": "Nothing says in which dtype codes are read: float16.",
                "labelled-g64": "The file says groups of 64, the tensors 32.",
                "described-alone": "Nothing names the method but what describes the module.",
                "patched": "The settings are those that sinq's patch of transformers writes.",
                "asinq": "The variant is called asinq.",
                "is_sinq": "The method is named by a flag.",
                "tiles-alike": "Tiles whose scales of inputs are alike are rows.",
                "one-zero": "One zero point for all is the same as one for each.",
                "filled-words": "What fills the last words of 3 bits is not zero.",
                "high-bits": "The two bits of a word that hold no code are set.",
            }
            | {f"no-{name}": f"Nothing says {name}." for name in UNREAD}
            | {
                f"method-{name}": f"It was packed by the method {name}, which changes no reading."
                for name in ("dual", "sinq_awq_l1", "SINQ_noz", "hqq")
            }
        ).items()
    },
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "described-beside-alone": (
        "No config names a method; a file describes the modules, as of sinq's own programs.",
        "",
    ),
    "patched": ("The settings are those that sinq's patch of transformers writes.", ""),
    "a-method-called-asinq": ("The settings name a variant of the method.", ""),
    "buffers-of-the-model": ("Buffers of the model are stored with its weights.", ""),
    "description-lost": ("The file that describes the modules is empty.", ""),
    "not-described": ("The file does not describe one packed module.", ""),
    "described-otherwise": ("The file says of one module what its tensors do not fit.", ""),
}
