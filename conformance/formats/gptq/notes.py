"""What is written beside exported tests of GPTQ: of flags and of folders, with the mutants they are there for.

Words behind a text are ids of mutants, or behind a ``#`` short names of policies.
"""

from __future__ import annotations

_BORROW = (
    "GPTQModel wrote the zero points by one subtraction from each packed word; the whole word is added back with its "
    "carries."
)

_SWAPPED = (
    "GPTQModel before 7.0 subtracted constants from the words of 3-bit zero points of which two are swapped; the same "
    "constants are added back."
)

FLAG_NOTES: dict[str, tuple[str, str]] = {
    "gptq": (
        "GPTQ: codes packed along the inputs, zero points along the outputs; version 1 stores them minus one.",
        "PK-01 PK-01b PK-04 PK-18 ZP-12a ZP-12b",
    ),
    "auto-round": (
        "AutoRound's config: packing_format says whether zero points are stored less one.",
        "AR-01 AR-02 #autoround",
    ),
    "producer-autoround": ("AutoRound packed it.", "AR-03 #autoround"),
    "gptq_v2": ("Version 2: zero points are stored as they are.", "ZP-02"),
    "no-qzeros": ("No qzeros: the zero point is the middle of the range.", "ZP-23"),
    "dynamic": ("Rules give modules settings of their own.", "CF-12 MD-06"),
    "mixed-bits": ("Modules of one checkpoint differ in the width of their codes.", "CF-12"),
    "lm_head": ("The output head is packed.", "MD-09"),
    "swapped-zeros": (
        "A GPTQModel before 7.0 packed it: its 3-bit zero points lack constants of which two are swapped.",
        "ZP-09c ZP-24 #swapped",
    ),
    "producer-gptqmodel": ("GPTQModel packed it.", "ZP-09b #borrow"),
    "symmetric": ("sym is true, or absent: the zero point meant is the middle of the range.", "ZP-15 ZP-16"),
    "asymmetric": ("Zero points differ.", "ZP-12a ZP-12b ZP-20 ZP-21 SC-08"),
    "no-g_idx": ("No g_idx: input i is in group i // group_size.", "GI-07 #g_idx"),
    "sequential": ("A g_idx that says what its absence would: i // group_size.", "GI-09"),
    "act-order": ("g_idx is a permutation of the sequential map.", "GI-01 GI-03 GI-06 #g_idx"),
    "permuted-groups": ("A map drawn at random with groups of equal size.", "GI-01 GI-03 GI-06 #g_idx"),
    "arbitrary-groups": ("g_idx is no permutation of the sequential map: groups differ in size.", "GI-01 GI-06 #g_idx"),
    "group-map-arbitrary": ("A map written by hand, which no quantiser gives.", "GI-01 GI-06 #g_idx"),
    "empty-group": ("No input belongs to one of the groups.", "GI-06"),
    "static-groups": ("desc_act with static_groups: the map is sequential in spite of the flag.", "GI-09 #g_idx"),
    "zero-point-0": (
        "A zero point of 0 occurs; version 1 stores it as all ones.",
        "ZP-03 ZP-04 ZP-07 ZP-08 ZP-09 #ones",
    ),
    "true-zero-0": ("The quantiser meant a zero point of 0.", "ZP-05 ZP-06 ZP-08 PK-13"),
    "stored-zero-all-ones": (
        "A stored zero point of all ones, which AutoGPTQ's two readers take for 16 and for 0. It is 0.",
        "ZP-03 ZP-04 ZP-08 #ones",
    ),
    "smeared-zeros": (
        "AutoGPTQ's packer filled all fields above a zero point of 0 with ones; they are 0 like any field of all ones.",
        "ZP-07 #ones",
    ),
    "borrowed-zeros": (
        "GPTQModel packed it, and a zero point of 0 borrowed from the field above it.",
        "ZP-09b #borrow",
    ),
    "policy-gptqmodel-0.9.0-borrow": (_BORROW, "ZP-09b #borrow"),
    "policy-gptqmodel-1.4.2-borrow": (_BORROW, "ZP-09b #borrow"),
    "policy-gptqmodel-7.7.0-borrow": (_BORROW, "ZP-09b #borrow"),
    **{
        f"policy-autoround-{id}": (
            f"The same module by AutoRound's name for it: {id}.",
            "AR-01 AR-02 #autoround",
        )
        for id in (
            *("auto_gptq", "gptq", "without-a-label", "backend-gptq", "intel"),
            *("auto_round", "gptqmodel", "backend-exllamav2", "0.16.0-fields"),
        )
    },
    **{
        f"policy-autoround-{version}-borrow": (
            "AutoRound from 0.7.1 to 0.15 summed shifted zero points less one; ones are added to whole words.",
            "AR-03 #autoround",
        )
        for version in ("0.7.1", "0.15.0")
    },
    **{f"policy-gptqmodel-{version}-borrow": (_SWAPPED, "#swapped") for version in ("1.8.0", "5.8.0", "6.0.3")},
    "policy-gptqmodel-7.7.0-fields": ("GPTQModel from 7.0 on subtracts field by field at 3 bits.", "#swapped"),
    "policy-swapped-zeros": (_SWAPPED, "#swapped"),
    "policy-swapped-zeros-where-sym-is-absent": (_SWAPPED, "#swapped"),
    "policy-v1-label-stores-eights": (
        "sym is true, the label says gptq, and every stored field is 8: the label is wrong and the zero point is 8.",
        "ZP-01 #label",
    ),
    "policy-v2-label-stores-sevens": (
        "sym is true, the label says gptq_v2, and every stored field is 7: the label is wrong and the zero point is 8.",
        "ZP-02 #label",
    ),
    "policy-symmetric-without-qzeros": ("sym is true and there are no qzeros: the zero point is 8.", "ZP-23 #label"),
    "policy-symmetric-with-other-zeros": (
        "sym is true, but the stored zero points differ: they are read as they are stored.",
        "ZP-14 #label",
    ),
    "policy-eights-in-all-fields-but-one": (
        "One stored field differs from 8, so the label of a symmetric file is not shown to be wrong, and stands.",
        "ZP-14 #label",
    ),
    "policy-eights-and-a-nine": (
        "The same with one stored field of 9: the label of the symmetric file stands.",
        "ZP-14 #label",
    ),
    "policy-eights-where-sym-is-absent": (
        "sym is not said, which means true, and every stored field is the middle of the range: so is the zero point.",
        "ZP-01 #label",
    ),
    "policy-eights-of-an-asymmetric-file": (
        "sym is false, and every stored field is the middle of the range: the label stands, and 1 is added.",
        "ZP-01 #label",
    ),
    "policy-no-qzeros-where-sym-is-absent": (
        "sym is not said, which means true, and there are no qzeros: the zero point is the middle.",
        "ZP-23 #label",
    ),
    "policy-version-2": ("The same module in version 2, whose zero points are stored as they are.", "ZP-02 #label"),
    "policy-version-2-of-gptqmodel": (
        "Version 2 by GPTQModel, asymmetric: nothing was subtracted, so nothing is added back.",
        "ZP-02 #borrow",
    ),
    "policy-one-group-without-g_idx": (
        "desc_act with one group and no g_idx: there is nothing to order.",
        "GI-07 #g_idx",
    ),
    "policy-short-last-group-without-g_idx": (
        "The last group is short, and no g_idx says so: the groups are consecutive.",
        "GI-16",
    ),
    "policy-g_idx-in-order-of-2080": ("A sequential g_idx of as many inputs as real matrices have.", "GI-09 #g_idx"),
    "policy-g_idx-in-order": ("A sequential g_idx where desc_act is false.", "GI-09 #g_idx"),
    "policy-static-groups-without-g_idx": (
        "desc_act and static_groups without g_idx: the groups are consecutive.",
        "GI-07 #g_idx",
    ),
}
FOLDER_NOTES: dict[str, tuple[str, str]] = {
    "act-order": ("Every module has a g_idx of its own.", "GI-02 GI-10"),
    "no-g_idx": ("Groups are consecutive, and no module says so with a g_idx.", ""),
    "dynamic": ("Rules of GPTQModel give modules settings of their own; the first that matches counts.", "CF-12 MD-06"),
    "symmetric-under-the-wrong-label": (
        "Labelled gptq, sym is true, and every stored zero point is 8.",
        "ZP-01 #label",
    ),
    "g_idx-out-of-range": ("One module's g_idx names groups that it does not have.", "GI-11 #g_idx"),
    "2bit": ("All codes have 2 bits.", ""),
    "3bit": ("All codes have 3 bits, some of which lie in two words.", ""),
    "8bit": ("All codes have 8 bits.", ""),
    "5bit": ("All codes have 5 bits, packed by AutoRound as one stream.", ""),
    "6bit": ("All codes have 6 bits, packed by AutoRound as one stream.", ""),
    "7bit": ("All codes have 7 bits, packed by AutoRound as one stream; MLX has no such form.", ""),
    "autoround-rules": ("AutoRound's extra_config: names and regular expressions, one module left dense.", "AR-04"),
    "version-2": ("Labelled gptq_v2, whose zero points are stored without the offset.", "ZP-02"),
    "file-named-by-auto-gptq": ("The one file of weights is called as AutoGPTQ called it.", "SH-11"),
    "shards-named-by-auto-gptq": ("Shards and index are called as AutoGPTQ called them.", "SH-11"),
    "dynamic-bits": ("A rule gives some modules another width, and nothing else.", "MD-06 CF-16"),
    "dynamic-sym": ("A rule says that one module is not symmetric, in which its label then holds.", "CF-15"),
    "mixed-widths": ("Rules give modules widths and maps of their own, and lm_head is packed.", "CF-12 MD-06 MD-09"),
    "symmetric-without-qzeros": ("sym is true, and no module has qzeros.", "ZP-23 #label"),
    "sym-not-said": ("sym is not said, and every stored zero point is 8.", "ZP-01 #label"),
}
