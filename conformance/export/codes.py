"""Refusal codes in one line each, with the mutants that accept what the code is for."""

from __future__ import annotations

CODES: dict[str, tuple[str, str]] = {
    "bad-config-value": ("A setting has a value of the wrong type or outside its range.", "GI-14b"),
    "bad-dtype": ("A packed tensor or the group map is of another dtype than the format has.", "ZP-19"),
    "bad-shape": ("The shapes of the tensors do not fit one another, or not the settings.", "CF-07"),
    "config-contradiction": ("Two settings, or two files of settings, contradict each other.", "GI-15 CF-06 CF-11b"),
    "group-index-out-of-range": (
        "The group map names a group below 0 or beyond the last one.",
        "GI-11 GI-11b #g_idx",
    ),
    "missing-file": ("A file that the checkpoint needs is not there.", "SH-04"),
    "missing-tensor": (
        "A tensor that the format needs is not there, or the map of act-order is.",
        "GI-07b CF-11 #g_idx",
    ),
    "not-quantized": ("The settings say that nothing is packed.", ""),
    "non-finite-scales": ("A scale is NaN or infinite.", "SC-10 #finite"),
    "stale-index": ("The index of the shards does not describe the files beside it.", "SH-04 SH-05"),
    "truncated-file": ("A file of weights ends before its header says.", ""),
    "unexpected-tensor": ("A module has a tensor that its format does not know.", "CF-07"),
    "unsafe-path": ("The index names a file outside the checkpoint's folder.", ""),
    "unsafe-weights": ("The weights are pickled: reading them would run code.", ""),
    "unsupported-bias": ("A bias with values belongs to a layer that has none in this architecture.", ""),
    "unsupported-bits": ("The width is not one that these vectors define; only 4 bits are.", "PK-11"),
    "unsupported-dtype": ("The scales are neither float16, bfloat16 nor float32.", ""),
    "unsupported-group-size": ("The settings name groups of a size that the format has not.", ""),
    "unsupported-layout": ("The packing of that name is another one than these vectors define.", "ZP-02 CF-04"),
    "unsupported-method": ("The quantisation method is not one that these vectors define.", "CF-01"),
}
