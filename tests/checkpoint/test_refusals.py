"""Every way a checkpoint's files can be wrong: a typed refusal that names the place, before or while decoding."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mlx_quant import Checkpoint, ConversionError, MalformedCheckpoint, QuantError, UnsupportedFormat, convert
from mlx_quant.files.hub import resolve

GPTQ, AWQ, SHARDED = "llama-gptq-g128-seq-asym", "llama-awq-g128", "qwen2-awq-g128"
MODULE = "model.layers.0.mlp.up_proj"
Copy = Callable[..., Any]
Tensors = dict[str, torch.Tensor]


def refused(path: Path, kind: type[QuantError], code: str, *said: str) -> None:
    """Opening, or converting where opening cannot know, refuses, and leaves nothing behind."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(kind) as caught:
        convert(path, path.parent / "out", progress=False)
    assert type(caught.value) is kind
    assert caught.value.code == code
    for text in said:
        assert text in str(caught.value)
    assert sorted(path.parent.iterdir()) == before


def change(leaf: str, make: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], None]:
    def apply(tensors: Tensors) -> None:
        tensors[f"{MODULE}.{leaf}"] = make(tensors[f"{MODULE}.{leaf}"])

    return apply


def without(leaf: str) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.pop(f"{MODULE}.{leaf}")


def poisoned(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def make(scales: torch.Tensor) -> torch.Tensor:
        scales[1, 3] = value
        return scales

    return make


def with_last(value: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda g_idx: torch.cat([g_idx[:-1], torch.tensor([value], dtype=g_idx.dtype)])


@pytest.mark.parametrize(
    ("name", "edit", "code", "said"),
    [
        (GPTQ, without("qweight"), "missing-tensor", f"{MODULE}: qweight"),
        (GPTQ, without("scales"), "missing-tensor", f"{MODULE}: scales"),
        (GPTQ, without("qzeros"), "missing-tensor", f"{MODULE}: qzeros"),
        (AWQ, without("qzeros"), "missing-tensor", f"{MODULE}: qzeros"),
        (GPTQ, change("scales", poisoned(float("nan"))), "non-finite-scales", f"{MODULE}: scales"),
        (AWQ, change("scales", poisoned(float("inf"))), "non-finite-scales", f"{MODULE}: scales"),
        (GPTQ, change("g_idx", with_last(2)), "group-index-out-of-range", f"{MODULE}: g_idx"),
        (GPTQ, change("g_idx", with_last(-1)), "group-index-out-of-range", f"{MODULE}: g_idx"),
        (GPTQ, change("g_idx", lambda t: t[:-8]), "bad-shape", f"{MODULE}: qweight"),
        (GPTQ, change("g_idx", lambda t: t.float()), "bad-dtype", f"{MODULE}: g_idx"),
        (GPTQ, change("qzeros", lambda t: t[:, :-1]), "bad-shape", f"{MODULE}: qzeros"),
        (GPTQ, change("scales", lambda t: t[:-1]), "bad-shape", f"{MODULE}: scales"),
        (GPTQ, change("scales", lambda t: t[:, :-8]), "bad-shape", f"{MODULE}: qweight"),
        (GPTQ, change("qweight", lambda t: t[:, 0]), "bad-shape", f"{MODULE}: qweight"),
        (GPTQ, change("qweight", lambda t: t.float()), "bad-dtype", f"{MODULE}: qweight"),
        (AWQ, change("scales", lambda t: t[:1]), "bad-shape", "groups of 256"),
    ],
)
def test_tensors_that_contradict_the_format(copy: Copy, name: str, edit: Any, code: str, said: str) -> None:
    source = copy(name)
    source.rewrite(edit)
    refused(source.path, MalformedCheckpoint, code, said, "safetensors")


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        (GPTQ, {"group_size": 32}, "groups of 128"),
        (GPTQ, {"group_size": -1}, "groups of 128"),
        (AWQ, {"group_size": 64}, "groups of 128"),
    ],
)
def test_a_group_size_that_shapes_contradict(copy: Copy, name: str, keys: Any, said: str) -> None:
    source = copy(name)
    source.requantize_config(**keys)
    refused(source.path, MalformedCheckpoint, "bad-shape", said, "model.layers.0")


def test_bits_that_shapes_contradict(copy: Copy) -> None:
    """Eight-bit rows under a config that says four."""
    source = copy(GPTQ)
    source.rewrite(change("qweight", lambda t: t.repeat(2, 1)))
    refused(source.path, MalformedCheckpoint, "bad-shape", "would be 8 bits")


@pytest.mark.parametrize(("name", "other"), [(GPTQ, "awq"), (AWQ, "gptq")])
def test_one_format_under_the_name_of_the_other(copy: Copy, name: str, other: str) -> None:
    source = copy(name)
    source.requantize_config(quant_method=other, version=None)
    actual = "GPTQ" if other == "awq" else "AWQ"
    refused(source.path, MalformedCheckpoint, "config-contradiction", f"packed as {actual}", "qweight")


@pytest.mark.parametrize(
    ("name", "edit", "code", "said"),
    [
        (AWQ, change("qweight", lambda t: t.to(torch.int64)), "unsupported-layout", "64-bit words"),
        (GPTQ, change("qweight", lambda t: t.to(torch.int8)), "unsupported-layout", "BitBLAS"),
        (
            AWQ,
            lambda t: t.update({"model.layers.0.mlp.act.scales": torch.ones(512)}),
            "unsupported-layout",
            "activation",
        ),
        (GPTQ, lambda t: t.update({"x.experts.absmax": torch.ones(2)}), "unsupported-layout", "bitsandbytes"),
        (GPTQ, lambda t: t.update({f"{MODULE}.weight_absmax": torch.ones(2)}), "unsupported-layout", "GPTQModel's"),
        (GPTQ, change("scales", lambda t: t.double()), "unsupported-dtype", "F64"),
        (GPTQ, lambda t: t.update({"x.weight": torch.ones(2).to(torch.float8_e5m2)}), "unsupported-dtype", "F8_E5M2"),
    ],
)
def test_packings_that_are_not_decoded(copy: Copy, name: str, edit: Any, code: str, said: str) -> None:
    source = copy(name)
    source.rewrite(edit)
    refused(source.path, UnsupportedFormat, code, said)


@pytest.mark.parametrize("key", ["online-rotate", "online_rotate"])
def test_rotations_that_a_configuration_keeps_apart(copy: Copy, key: str) -> None:
    source = copy(GPTQ)
    source.configure(**{key: {"type": "hadamard"}})
    refused(source.path, UnsupportedFormat, "unsupported-layout", "rotated while the model runs", key)


def test_experts_in_mxfp4_in_a_checkpoint_of_gptq(copy: Copy) -> None:
    source = copy(GPTQ)
    experts = {"blocks": torch.ones(2, 1, 16, dtype=torch.uint8), "scales": torch.ones(2, 1, dtype=torch.uint8)}
    source.rewrite(lambda tensors: tensors.update({f"x.experts.gate_{leaf}": each for leaf, each in experts.items()}))
    refused(source.path, MalformedCheckpoint, "missing-tensor", "found _blocks", "x.experts.gate")


def test_turned_inputs_in_a_checkpoint_of_awq(copy: Copy) -> None:
    source = copy(AWQ)
    source.rewrite(lambda t: t.update({"x.theta": torch.ones(2), "x.pairs": torch.ones(2)}))
    refused(source.path, MalformedCheckpoint, "config-contradiction", "packed as ParoQuant", "x")


@pytest.mark.parametrize("name", ["x.B", "x.theta", "x.pairs", "x.indices"])
def test_half_of_a_telltale_pair_is_a_plain_tensor(copy: Copy, name: str) -> None:
    source = copy(GPTQ)
    source.rewrite(lambda tensors: tensors.update({name: torch.ones(2)}))
    assert name in Checkpoint.open(source.path).plain


def test_a_packed_tensor_in_no_module_belongs_to_a_nameless_one(copy: Copy) -> None:
    source = copy(GPTQ)
    leaves = ("qweight", "qzeros", "scales", "g_idx")
    source.rewrite(lambda tensors: tensors.update({leaf: tensors[f"{MODULE}.{leaf}"].clone() for leaf in leaves}))
    checkpoint = Checkpoint.open(source.path)
    assert checkpoint.dequantize("").tolist() == checkpoint.dequantize(MODULE).tolist()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bits": 9}, ["with 9 bits is not decoded"]),
        # GPTQModel packs these bit by bit; AutoRound, which does not, says so in its config.
        ({"bits": 7}, ["7 bits under 'gptq'", "gptq_p"]),
        ({"dynamic": {r".*up_proj": {"bits": 9}}}, ["with 9 bits is not decoded", "dynamic: .*up_proj", MODULE]),
    ],
)
def test_a_width_that_is_not_decoded(copy: Copy, changes: Any, said: list[str]) -> None:
    source = copy(GPTQ)
    source.requantize_config(**changes)
    refused(source.path, UnsupportedFormat, "unsupported-bits", *said)


def test_a_module_packed_and_dense_at_once(copy: Copy) -> None:
    source = copy(GPTQ)
    source.rewrite(lambda tensors: tensors.update({f"{MODULE}.weight": torch.zeros(512, 256)}))
    refused(source.path, MalformedCheckpoint, "unexpected-tensor", MODULE)


def test_a_config_that_outlived_its_packed_weights(copy: Copy) -> None:
    source = copy("llama-base")
    source.configure(quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 128})
    refused(source.path, MalformedCheckpoint, "missing-tensor", "already dense")


def test_act_order_without_g_idx(copy: Copy) -> None:
    source = copy("llama-gptq-g128-act-asym")
    source.rewrite(without("g_idx"))
    refused(source.path, MalformedCheckpoint, "missing-tensor", f"{MODULE}: g_idx", "desc_act")


INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def reindex(source: Any, edit: Callable[[dict[str, str]], Any]) -> None:
    index = source.json(INDEX)
    edit(index["weight_map"])
    source.write_json(index, INDEX)


@pytest.mark.parametrize(
    ("edit", "code", "said"),
    [
        (lambda m: m.pop(f"{MODULE}.scales"), "stale-index", f"{MODULE}.scales"),
        (lambda m: m.update({"model.extra.weight": FIRST}), "stale-index", "model.extra.weight"),
        (lambda m: m.update({"model.norm.weight": FIRST}), "stale-index", "model.norm.weight"),
        (lambda m: m.update({"model.norm.weight": "absent.safetensors"}), "missing-file", "absent.safetensors"),
        (lambda m: m.update({"model.norm.weight": "../out.safetensors"}), "unsafe-path", "../out.safetensors"),
        (lambda m: m.update({"model.norm.weight": "a/../../x.safetensors"}), "unsafe-path", "a/../../x"),
        (lambda m: m.update({"model.norm.weight": "/etc/passwd"}), "unsafe-path", "/etc/passwd"),
        (lambda m: m.update({"model.norm.weight": "C:\\x.safetensors"}), "unsafe-path", "C:"),
        (lambda m: m.update({"model.norm.weight": 3}), "bad-file", "weight_map"),
    ],
)
def test_an_index_that_does_not_match_its_shards(copy: Copy, edit: Any, code: str, said: str) -> None:
    source = copy(SHARDED)
    reindex(source, edit)
    refused(source.path, MalformedCheckpoint, code, said)


def test_two_indices_and_neither_the_usual_one(copy: Copy) -> None:
    source = copy(SHARDED)
    for name in ("a", "b"):
        source.write_json(source.json(INDEX), f"{name}.safetensors.index.json")
    (source.path / INDEX).unlink()
    refused(source.path, MalformedCheckpoint, "stale-index", "a.safetensors.index.json")


def test_shards_without_an_index(copy: Copy) -> None:
    source = copy(SHARDED)
    (source.path / INDEX).unlink()
    refused(source.path, MalformedCheckpoint, "missing-file", INDEX)


@pytest.mark.parametrize("keep", [0, 5, 400, -1])
def test_a_truncated_shard(copy: Copy, keep: int) -> None:
    source = copy(SHARDED)
    shard = source.path / SECOND
    shard.write_bytes(shard.read_bytes()[:keep])
    refused(source.path, MalformedCheckpoint, "truncated-file", SECOND)


def test_a_missing_shard(copy: Copy) -> None:
    source = copy(SHARDED)
    (source.path / SECOND).unlink()
    refused(source.path, MalformedCheckpoint, "missing-file", SECOND)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_link_that_leaves_the_folder(copy: Copy, tmp_path: Path, name: str) -> None:
    source = copy(GPTQ)
    outside = tmp_path / "elsewhere"
    (source.path / name).rename(outside)
    (source.path / name).symlink_to(outside)
    refused(source.path, MalformedCheckpoint, "unsafe-path", name)


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "gptq_model-4bit-128g.pt", "model.ckpt"])
def test_pickled_weights_are_never_unpickled(copy: Copy, tmp_path: Path, file: str) -> None:
    source = copy(GPTQ)
    source.weights.unlink()
    (source.path / file).write_bytes(pickle.dumps(_Bomb(tmp_path / "boom")))
    refused(source.path, UnsupportedFormat, "unsafe-weights", file)
    assert not (tmp_path / "boom").exists()


def test_no_weights_and_adapters_only(copy: Copy) -> None:
    source = copy(GPTQ)
    source.weights.rename(source.path / "adapter_model.safetensors")
    refused(source.path, MalformedCheckpoint, "missing-file", "no weights")
    source.write_json({}, "adapter_config.json")
    refused(source.path, MalformedCheckpoint, "missing-file", "base model")


@pytest.mark.parametrize("path", ["/nowhere/at/all", "./nowhere", "a/b/c", "nowhere", Path("nowhere")])
def test_a_folder_that_is_not_there(path: str | Path) -> None:
    with pytest.raises(MalformedCheckpoint) as caught:
        Checkpoint.open(path)
    assert (caught.value.code, caught.value.where) == ("missing-file", str(path))


def hub_cache(source: Path, cache: Path) -> Path:
    """The Hub's cache layout: blobs, and a snapshot of links to them."""
    repo = cache / "models--somebody--tiny"
    snapshot = repo / "snapshots" / ("0" * 40)
    for folder in (repo / "blobs", repo / "refs", snapshot):
        folder.mkdir(parents=True)
    (repo / "refs" / "main").write_text("0" * 40)
    for number, file in enumerate(sorted(source.iterdir())):
        file.rename(repo / "blobs" / str(number))
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", str(number)))
    return snapshot


def test_a_cached_repo_offline_by_id_and_by_path(copy: Copy, tmp_path: Path) -> None:
    snapshot = hub_cache(copy(GPTQ).path, tmp_path / "cache")
    options: dict[str, Any] = {"cache_dir": tmp_path / "cache", "local_files_only": True}
    by_id, by_path = (Checkpoint.open(name, **options) for name in ("somebody/tiny", snapshot))
    assert by_id.label == "somebody/tiny"
    assert list(by_id.modules) == list(by_path.modules)
    assert by_id.files.folder == snapshot
    assert by_id.dequantize(MODULE).tolist() == by_path.dequantize(MODULE).tolist()
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(MalformedCheckpoint) as caught:
        Checkpoint.open("somebody/tiny", **options)
    assert caught.value.code == "missing-file"


def test_a_repo_that_is_not_cached_offline(tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as caught:
        resolve("somebody/absent", cache_dir=tmp_path, local_files_only=True)
    assert (caught.value.code, caught.value.where) == ("hub-error", "somebody/absent")
