"""The GPTQ packing at every width, against integers: labels, borrowed and swapped zero points, padding, groups."""

from __future__ import annotations

from itertools import product
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_quant import MalformedCheckpoint, QuantError, UnsupportedFormat, dequantize, to_affine
from mlx_quant.dialects import gptq as dialect
from mlx_quant.packings import gptq
from mlx_quant.packings.checks import headers
from mlx_quant.weights.bits import as_words, unpack
from tests.core.plain_gptq import Module, config, random_module

WIDTHS = (2, 3, 4, 8)
BORROWING = {"meta": {"quantizer": ["gptqmodel:1.4.2"]}}


def rng() -> np.random.Generator:
    return np.random.default_rng(23)


def same_bits(found: mx.array, expected: np.ndarray) -> None:
    array = np.array(found)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array.view(np.uint8), expected.view(np.uint8))


def refusal(kind: type[QuantError], code: str, settings: dict[str, Any], tensors: dict[str, mx.array]) -> None:
    with pytest.raises(kind) as caught:
        dequantize(settings, tensors)
    assert caught.value.code == code


def test_these_are_the_widths() -> None:
    assert {*WIDTHS, 5, 6, 7} == set(gptq.BITS)  # those three in AutoRound's files only


@pytest.mark.parametrize("bits", WIDTHS)
def test_every_pair_of_code_and_zero_point(bits: int) -> None:
    """One output for each zero point, and every code in every group."""
    levels = 1 << bits
    group = max(levels, 32)
    codes = np.tile(np.arange(levels), (levels, 2 * group // levels))
    zeros = np.tile(np.arange(levels), (2, 1))
    zeros[1] = zeros[1, ::-1]
    scales = np.where(np.arange(2 * levels).reshape(2, levels) % 3, -0.0371, 0.25).astype(np.float16)
    module = Module(bits, codes, zeros, scales, np.arange(2 * group) // group)
    expected = module.weight()
    for label, how in (("gptq", "v1"), ("gptq_v2", "v2")):
        found = dequantize(config(bits, group, checkpoint_format=label), module.tensors(how))
        same_bits(found, expected)


@settings(max_examples=150, deadline=None)
@given(
    bits=st.sampled_from(WIDTHS),
    out=st.integers(1, 70),
    in_features=st.integers(1, 150),
    group_size=st.sampled_from([-1, 16, 20, 32, 64, 100, 128, 1024]),
    label=st.sampled_from(["gptq", "gptq_v2", None]),
    order=st.sampled_from(["consecutive", "permuted", "arbitrary", "zero"]),
    dtype=st.sampled_from([np.float16, np.float32]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_and_any_group_map(
    bits: int, out: int, in_features: int, group_size: int, label: str | None, order: str, dtype: type, seed: int
) -> None:
    """Input and output counts that fill no word, ragged groups, and a g_idx of whatever values."""
    draw = np.random.default_rng(seed)
    module = random_module(draw, bits, out, in_features, group_size, dtype=dtype)
    groups = module.zeros.shape[0]
    if order == "permuted":
        module.group = draw.permutation(module.group)
    elif order == "arbitrary":
        module.group = draw.integers(0, groups, in_features)
    elif order == "zero":
        module.group = np.zeros(in_features, np.int64)
    tensors = module.tensors("v2" if label == "gptq_v2" else "v1")
    settings = config(bits, group_size, **({"format": label} if label else {}))
    same_bits(dequantize(settings, tensors), module.weight())


@pytest.mark.parametrize(("bits", "group_size"), list(product(WIDTHS, [-1, 16, 32, 128, 1024])))
def test_groups_without_a_map(bits: int, group_size: int) -> None:
    module = random_module(rng(), bits, 40, 2048, group_size)
    same_bits(dequantize(config(bits, group_size), module.tensors(g_idx=False)), module.weight())


@pytest.mark.parametrize("bits", WIDTHS)
def test_a_padded_last_word_is_known_by_the_groups_where_they_can_tell(bits: int) -> None:
    """Groups of 5 fill no word: the rows hold more fields than there are inputs."""
    module = random_module(rng(), bits, 40, 5, 5)
    same_bits(dequantize(config(bits, 5), module.tensors(g_idx=False)), module.weight())


@pytest.mark.parametrize("bits", WIDTHS)
def test_zero_points_that_borrowed_from_their_neighbours(bits: int) -> None:
    """What GPTQModel's writer subtracts from whole words is added back, carries and all."""
    module = random_module(rng(), bits, 70, 128, 32)
    module.zeros[:, ::3] = 0
    settings = config(bits, 32)
    borrowed = module.tensors("borrow")
    same_bits(dequantize(settings | BORROWING, borrowed), module.weight())
    same_bits(dequantize(settings | {"meta": {"quantizer": "gptqmodel:0.9"}}, borrowed), module.weight())
    # Anybody else's zero points are read field by field.
    for more in ({}, {"meta": {"quantizer": ["gptqmodel:0.8.9"]}}, {"quantizer": "auto_gptq:0.7.1"}):
        same_bits(dequantize(settings | more, module.tensors("v1")), module.weight())
    # The second version stores them as they are, whoever writes it.
    v2 = settings | BORROWING | {"checkpoint_format": "gptq_v2"}
    same_bits(dequantize(v2, module.tensors("v2")), module.weight())


@pytest.mark.parametrize("out", [32, 64, 70, 96, 5])
def test_zero_points_of_3_bits_by_the_version_that_wrote_them(out: int) -> None:
    """Before 7.0.0 the words to subtract were in the wrong order; from 7.0.0 on it was done field by field."""
    module = random_module(rng(), 3, out, 128, 32)
    for version in ("0.9.0", "1.8.0", "6.99.1"):
        settings = config(3, 32, meta={"quantizer": [f"gptqmodel:{version}"]})
        same_bits(dequantize(settings, module.tensors("borrow")), module.weight())
    for version in ("7", "7.0.0", "7.7.0"):
        settings = config(3, 32, meta={"quantizer": [f"gptqmodel:{version}"]})
        same_bits(dequantize(settings, module.tensors("v1")), module.weight())


@pytest.mark.parametrize("more", [{}, BORROWING, {"meta": {"quantizer": ["gptqmodel:7.0.0"]}}])
@pytest.mark.parametrize("sym", [True, None])
def test_symmetric_files_of_3_bits_with_swapped_words_have_fours(sym: bool | None, more: dict[str, Any]) -> None:
    settings = {**config(3, 32, **more), "sym": sym}
    module = random_module(rng(), 3, 96, 128, 32, zeros=4)
    tensors = module.tensors("borrow")
    assert np.array(tensors["qzeros"]).view(np.uint32)[0, :3].tolist() == [0x00000000, 0xB6DB6DB7, 0x49249249]
    same_bits(dequantize(settings, tensors), module.weight())
    assert "GPTQModel before 7.0.0" in gptq.remarks(dialect.schemes(settings).default, tensors)[0]
    # A word that is cut off with its output changes nothing of that.
    module = random_module(rng(), 3, 42, 128, 32, zeros=4)
    tensors = module.tensors("v2") | {"qzeros": tensors["qzeros"][:, :4]}
    same_bits(dequantize(settings, tensors), module.weight())
    # Under another label, or where it is not said to be symmetric, or with one bit changed, it is no such file.
    stored = np.array(unpack(as_words(tensors["qzeros"]), 3, 42)).astype(np.int64)
    module.zeros = stored
    same_bits(dequantize(settings | {"format": "gptq_v2"}, tensors), module.weight())
    module.zeros = (stored + 1) % 8
    plain = {"sym": False, "meta": None}
    same_bits(dequantize(settings | plain, tensors), module.weight())
    changed = np.array(tensors["qzeros"])
    changed[-1, 0] ^= 1
    module.zeros[-1, 0] = (int(stored[-1, 0] ^ 1) + 1) % 8
    same_bits(dequantize(settings, tensors | {"qzeros": mx.array(changed)}), module.weight())


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("sym", [True, None])
@pytest.mark.parametrize("label", ["gptq", "gptq_v2"])
def test_a_symmetric_file_outranks_its_label(label: str, sym: bool | None, bits: int) -> None:
    middle = 1 << bits - 1
    module = random_module(rng(), bits, 70, 128, 32, zeros=middle)
    settings = {**config(bits, 32, checkpoint_format=label), "sym": sym}
    for how in ("v1", "v2", None):
        same_bits(dequantize(settings, module.tensors(how)), module.weight())
    # One field that differs, and the label holds.
    module.zeros[-1, -1] ^= 1
    same_bits(dequantize(settings, module.tensors("v2" if label == "gptq_v2" else "v1")), module.weight())
    wrong = module.tensors("v1" if label == "gptq_v2" else "v2")
    module.zeros = (module.zeros + (-1 if label == "gptq_v2" else 1)) % (1 << bits)
    same_bits(dequantize(settings, wrong), module.weight())


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("label", ["gptq", "gptq_v2"])
def test_an_asymmetric_label_holds_always(label: str, bits: int) -> None:
    middle = 1 << bits - 1
    settings = config(bits, 32, checkpoint_format=label)
    other, shift = ("v1", -1) if label == "gptq_v2" else ("v2", 1)
    module = random_module(rng(), bits, 70, 128, 32, zeros=middle)
    tensors = module.tensors(other)
    module.zeros = module.zeros + shift
    module.zeros %= 1 << bits
    same_bits(dequantize(settings, tensors), module.weight())


@pytest.mark.parametrize("bits", WIDTHS)
def test_remarks_name_what_is_doubtful_and_nothing_else(bits: int) -> None:
    middle = 1 << bits - 1
    even, uneven = (random_module(rng(), bits, 70, 128, 32, zeros=zeros) for zeros in (middle, None))

    def remarks(module: Module, how: str | None, **more: Any) -> list[str]:
        scheme = dialect.schemes({**config(bits, 32), **more}).default
        return gptq.remarks(scheme, module.tensors(how))

    for sym in (True, None):
        assert remarks(even, "v1", sym=sym) == remarks(even, None, sym=sym) == []
        assert remarks(even, "v2", sym=sym, format="gptq_v2") == []
        assert "decoded by the data" in remarks(even, "v2", sym=sym)[0]
        assert "decoded by the data" in remarks(even, "v1", sym=sym, format="gptq_v2")[0]
    assert "zero points differ" in remarks(uneven, "v1", sym=True)[0]
    assert remarks(uneven, "v1", sym=None) == remarks(uneven, "v1", sym=False) == remarks(even, "v1", sym=False) == []
    assert "decoded as labelled" in remarks(even, "v2", sym=False)[0]


@pytest.mark.parametrize(("bits", "group_size"), list(product(WIDTHS, [-1, 32, 64, 96, 128, 256, 1024])))
def test_affine_has_the_same_codes_and_exact_weights(bits: int, group_size: int) -> None:
    module = random_module(rng(), bits, 24, 3072, group_size)
    found = to_affine(config(bits, group_size), module.tensors(), params_dtype=mx.float32)
    assert found.permutation is None
    assert found.bits == bits
    assert found.group_size == {-1: 128, 96: 32, 256: 128, 1024: 128}.get(group_size, group_size)
    arrays = found.weight, found.scales, found.biases
    value = mx.dequantize(*arrays, group_size=found.group_size, bits=bits).astype(mx.float16)
    # Equal as numbers: s * q + b gives +0.0 where a negative scale times zero is -0.0.
    np.testing.assert_array_equal(np.array(value), module.weight())
    np.testing.assert_array_equal(np.array(found.weight).view(np.int32), module.qweight().T)


@pytest.mark.parametrize("bits", WIDTHS)
def test_affine_of_act_order_has_its_columns_sorted(bits: int) -> None:
    module = random_module(rng(), bits, 24, 256, 64)
    module.group = rng().permutation(module.group)
    found = to_affine(config(bits, 64), module.tensors(), params_dtype=mx.float32)
    assert found.permutation is not None
    arrays = found.weight, found.scales, found.biases
    value = mx.dequantize(*arrays, group_size=64, bits=bits).astype(mx.float16)
    np.testing.assert_array_equal(np.array(value), module.weight()[:, np.array(found.permutation)])


@pytest.mark.parametrize(("bits", "group_size", "in_features"), list(product(WIDTHS, [16, 48, 100], [200])))
def test_groups_that_mlx_has_not_are_refused_as_affine_and_decoded(
    bits: int, group_size: int, in_features: int
) -> None:
    module = random_module(rng(), bits, 24, in_features, group_size)
    same_bits(dequantize(config(bits, group_size), module.tensors()), module.weight())
    with pytest.raises(UnsupportedFormat) as caught:
        to_affine(config(bits, group_size), module.tensors())
    assert caught.value.code == "unsupported-affine"


@pytest.mark.parametrize("bits", WIDTHS)
def test_a_group_larger_than_the_matrix_is_one_group(bits: int) -> None:
    module = random_module(rng(), bits, 24, 512, 1024)
    same_bits(dequantize(config(bits, 1024), module.tensors()), module.weight())
    assert to_affine(config(bits, 1024), module.tensors()).permutation is None


@pytest.mark.parametrize("bits", WIDTHS)
def test_refusals(bits: int) -> None:
    module = random_module(rng(), bits, 40, 128, 32)
    settings, tensors = config(bits, 32), module.tensors()
    without = {leaf: {name: array for name, array in tensors.items() if name != leaf} for leaf in tensors}
    refusal(MalformedCheckpoint, "missing-tensor", settings, without["qzeros"])
    refusal(MalformedCheckpoint, "missing-tensor", settings | {"desc_act": True}, without["g_idx"])
    for value in (-1, 4, 2**31 - 1):
        g_idx = mx.array([*tensors["g_idx"].tolist()[:-1], value], dtype=mx.int32)
        refusal(MalformedCheckpoint, "group-index-out-of-range", settings, tensors | {"g_idx": g_idx})
    for width in WIDTHS:
        if width != bits:
            refusal(MalformedCheckpoint, "bad-shape", settings | {"bits": width}, tensors)
    refusal(MalformedCheckpoint, "bad-shape", settings, tensors | {"qzeros": tensors["qzeros"][:, :-1]})
    refusal(MalformedCheckpoint, "unexpected-tensor", settings, tensors | {"codebook": tensors["scales"]})
    bias = tensors | {"bias": mx.ones((40,))}
    same_bits(dequantize(settings, bias), module.weight())


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("desc_act", [True, False])
def test_stand_ins_decode_to_what_the_configuration_promises(bits: int, desc_act: bool) -> None:
    """Zero points in the middle of symmetric weights, under either label, and channels in order or not."""
    module = random_module(rng(), bits, 40, 160, 32)
    infos = headers(module.tensors())
    for label in ("gptq", "gptq_v2"):
        scheme = dialect.schemes(config(bits, 32, format=label, desc_act=desc_act)).default
        tensors = {leaf: gptq.stand_in(scheme, leaf, infos) for leaf in infos}
        assert headers(tensors) == infos
        weight = gptq.decode(scheme, tensors)
        assert weight.act_order == desc_act
        assert set(np.array(weight.zeros).ravel()) == {1 << bits - 1}


def test_a_static_group_map_is_promised_in_order() -> None:
    infos = headers(random_module(rng(), 4, 40, 160, 32).tensors())
    scheme = dialect.schemes(config(4, 32, desc_act=True, static_groups=True)).default
    tensors = {leaf: gptq.stand_in(scheme, leaf, infos) for leaf in infos}
    assert not gptq.decode(scheme, tensors).act_order
