"""What is written beside exported tests of QQQ (see the notes of GPTQ)."""

from __future__ import annotations

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "qqq": (
        "QQQ: codes of 4 bits, which a scale of their group makes integers of 8 bits, times a scale of their output.",
        "QQ-01 QQ-02 QQ-03 QQ-04 QQ-05 QQ-05b QQ-06 QQ-07",
    ),
    "one-group": ("One group: nibbles have a sign and an order of their own.", "QQ-04 QQ-06"),
    "groups": ("Scales of groups, transposed by 8 x 8.", "QQ-01 QQ-02"),
    **{
        f"grown-{kind}": (f"Scales of groups: {text}.", "QQ-02 QQ-03 QQ-07")
        for kind, text in {
            "ordinary": "so small that integers are few, and many are halfway",
            "negative": "all of them negative",
            "subnormal": "too small for any integer but 0",
            "huge": "so large that every integer is cut off",
            "zero": "zero, with either sign",
            "any-finite": "any",
        }.items()
    },
    "policy-qqq-format": ("A label, which says what the method says.", ""),
    "policy-qqq-wbits": ("The width is called wbits, as by its authors.", "CF-01"),
    "policy-qqq-as-written": ("All the keys that GPTQModel writes beside each other.", ""),
    "policy-qqq-no-s_group": ("Scales of groups are absent where there is one.", ""),
    "policy-qqq-group-size": ("A group of all inputs by their number.", "CF-02"),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "one-group": ("Every module has one group.", ""),
    "of-its-authors": ("The config has no key but the three of its authors.", ""),
    "dynamic": ("Rules give modules groups of their own.", "CF-12 MD-06"),
    "named-gptq": ("Modules of QQQ whose config says GPTQ.", "CF-04"),
}
