"""What is particular about each checkpoint folder that every format has, by its id without the format."""

from __future__ import annotations

FOLDERS: dict[str, tuple[str, str]] = {
    "plain": ("One file of weights and one config.json, nothing particular.", "LC-05 SC-02 MD-13"),
    "module-over-two-shards": ("The codes of every module lie in one file, its scales in the other.", "SH-01 SH-02"),
    "decoy-shards": ("Beside the shards lie files that the index does not name, with other weights.", "SH-03"),
    "named-after-the-other-format": ("The folder is named after the other format.", "CF-07b"),
    "sidecar-only": ("The settings are in a file of their own, and not in config.json.", "CF-09"),
    "sidecar-of-an-old-producer": ("The same, in the spelling of an old producer.", "CF-09 GI-14"),
    "sidecar-that-agrees": ("The settings are given twice, in two spellings that agree.", "CF-11b"),
    "text_config": ("The settings are under text_config.", "CF-08"),
    "skipped-module": ("One module is not packed, and the settings say so.", "MD-01"),
    "skipped-module-unlisted": ("One module is not packed, and nothing but its tensors says so.", "MD-01 MD-05"),
    "list-that-names-a-packed-module": (
        "A list of skipped modules holds a part of a packed one's name, or a list of packed ones is incomplete.",
        "MD-04 MD-05",
    ),
    "packed-lm_head": ("lm_head is packed.", "MD-09"),
    "tied-with-packed-lm_head": ("lm_head is packed, although the embeddings are tied.", "MD-10"),
    "tied": ("The embeddings are tied, and there is no lm_head.", "MD-11 MD-08"),
    "dtypes-side-by-side": ("Norms and embeddings are of other dtypes than the scales, and keep them.", "SC-06"),
    "real-biases": ("q, k and v have biases, as the architecture says.", "SC-01 SC-03"),
    "a-real-bias-of-zeros": ("A bias that the architecture has is all zeros, and stays.", "SC-04"),
    "packer-s-zero-biases-llama": (
        "The packer stored zero biases of layers that have none; they are dropped.",
        "SC-05",
    ),
    "packer-s-zero-biases-qwen2": ("The same, beside biases that the architecture has.", "SC-04 SC-05"),
    "missing-shard": ("The index names a file that is not there.", "SH-04"),
    "index-names-a-tensor-that-is-not-there": ("A file lacks a tensor that the index places in it.", "SH-04"),
    "index-forgets-a-tensor": (
        "A file holds a weight that the index does not name: refusing is right, and so is reading it.",
        "SH-05",
    ),
    "index-leaves-the-folder": ("The index reaches its file by a path that leaves the folder.", ""),
    "truncated": ("The file of weights is cut in half.", "LC-01"),
    "pickled": ("There are no weights but pickled ones.", ""),
    "files-without-an-index": ("The weights are in two files, and there is no index.", ""),
    "dense-beside-a-stale-sidecar": ("Settings of a packed model lie beside a part of a dense one.", "CF-11"),
    "sidecar-of-another-model": ("The settings are given twice, and disagree.", "CF-11b"),
    "one-nan-scale": ("One scale of one module is NaN.", "SC-10 #finite"),
    "another-quant-method": ("The settings name another method.", "CF-01"),
    "no-qzeros": ("One module lacks its zero points, and is not symmetric.", ""),
    "a-bias-nobody-wants": ("A layer without a bias in this architecture has one that is not zero.", ""),
}
