"""What packings say of headers alone: what they recognise, how they refuse, what stands in for tensors not read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant import MalformedCheckpoint, QuantError
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.dialects.schemes import Scheme
from mlx_quant.files.folder import TensorInfo
from mlx_quant.packings import awq_gemm, gptq
from mlx_quant.packings.protocol import Packing

Headers = Mapping[str, tuple[str, tuple[int, ...]]]
GPTQ: Headers = {
    "qweight": ("I32", (8, 48)),
    "qzeros": ("I32", (2, 6)),
    "scales": ("F16", (2, 48)),
    "g_idx": ("I32", (64,)),
}
AWQ: Headers = {"qweight": ("I32", (64, 6)), "qzeros": ("I32", (2, 6)), "scales": ("F16", (2, 48))}
PACKED = ((gptq, GPTQ), (awq_gemm, AWQ))


def infos(headers: Headers) -> dict[str, TensorInfo]:
    return {name: TensorInfo(name, dtype, shape, "a.safetensors") for name, (dtype, shape) in headers.items()}


def scheme(packing: Packing, **settings: Any) -> Scheme:
    method = "gptq" if packing is gptq else "awq"
    return schemes_of({"quant_method": method, "bits": 4, "group_size": 32, **settings}).default


def changed(headers: Headers, name: str, dtype: str, *shape: int) -> Headers:
    return {**headers, name: (dtype, shape)}


def without(headers: Headers, *names: str) -> Headers:
    return {name: header for name, header in headers.items() if name not in names}


@pytest.mark.parametrize(("packing", "headers"), PACKED)
def test_its_own_shapes_are_recognised(packing: Packing, headers: Headers) -> None:
    assert packing.recognises(infos(headers))
    assert packing.recognises(infos({name: headers[name] for name in ("qweight", "scales")}))
    assert packing.recognises(infos(changed(headers, "qweight", "U32", *headers["qweight"][1])))
    assert packing.recognises(infos({**headers, "bias": ("F16", (48,))}))


@pytest.mark.parametrize(("packing", "headers"), PACKED)
@pytest.mark.parametrize("lacking", [("qweight",), ("scales",), ("qweight", "scales")])
def test_without_codes_or_scales_nothing_is_recognised(
    packing: Packing, headers: Headers, lacking: tuple[str, ...]
) -> None:
    assert not packing.recognises(infos(without(headers, *lacking)))


@pytest.mark.parametrize(("packing", "headers"), PACKED)
@pytest.mark.parametrize("dtype", ["I16", "I8", "U8", "I64", "F16"])
def test_other_words_are_not_recognised(packing: Packing, headers: Headers, dtype: str) -> None:
    assert not packing.recognises(infos(changed(headers, "qweight", dtype, *headers["qweight"][1])))


@pytest.mark.parametrize(
    ("packing", "qweight", "scales"),
    [
        (gptq, (8, 48), (2, 40)),
        (gptq, (8, 40), (2, 48)),
        (gptq, (48, 8), (2, 48)),
        (gptq, (8, 48), (48, 2)),
        (gptq, (48,), (48,)),
        (gptq, (8, 48, 1), (2, 48, 1)),
        (gptq, (8, 48), (2, 48, 1)),
        (gptq, (8, 48, 1), (2, 48)),
        (gptq, (48, 48), (48,)),
        (gptq, (48,), (2, 48)),
        (awq_gemm, (64, 6), (2, 40)),
        (awq_gemm, (64, 4), (2, 48)),
        (awq_gemm, (64, 7), (2, 48)),
        (awq_gemm, (64, 48), (2, 6)),
        (awq_gemm, (6, 64), (2, 48)),
        (awq_gemm, (64, 6), (48, 2)),
        (awq_gemm, (64, 0), (2, 0)),
        (awq_gemm, (6,), (48,)),
        (awq_gemm, (64, 6, 1), (2, 48, 1)),
        (awq_gemm, (64, 6), (2, 48, 1)),
        (awq_gemm, (64, 6, 1), (2, 48)),
        (awq_gemm, (48, 6), (48,)),
        (awq_gemm, (6,), (2, 48)),
    ],
)
def test_other_shapes_are_not_recognised(packing: Packing, qweight: tuple[int, ...], scales: tuple[int, ...]) -> None:
    assert not packing.recognises(infos({"qweight": ("I32", qweight), "scales": ("F16", scales)}))


def test_the_narrowest_modules_are_recognised() -> None:
    assert gptq.recognises(infos({"qweight": ("I32", (1, 1)), "scales": ("F16", (1, 1))}))
    assert awq_gemm.recognises(infos({"qweight": ("I32", (8, 1)), "scales": ("F16", (1, 8))}))


REFUSED: tuple[tuple[Packing, Headers, dict[str, Any], str, str], ...] = (
    (gptq, changed(GPTQ, "scales", "F16", 2, 40), {}, "bad-shape", "scales have 40 columns"),
    (gptq, changed(GPTQ, "g_idx", "I32", 60, 1), {}, "bad-shape", "one entry for each input channel"),
    (gptq, changed(GPTQ, "g_idx", "I32", 0), {}, "bad-shape", "one entry for each input channel"),
    (
        gptq,
        changed(GPTQ, "g_idx", "I32", 128),
        {},
        "bad-shape",
        "128 input channels of 4 bits take 16 rows; 8 would be 2 bits",
    ),
    (gptq, changed(GPTQ, "scales", "F16", 4, 48), {}, "bad-shape", "make 2 rows; 4 would be groups of 16"),
    (gptq, changed(GPTQ, "scales", "F16", 1, 48), {}, "bad-shape", "make 2 rows; 1 would be groups of 64"),
    (gptq, changed(GPTQ, "scales", "F16", 2, 48), {"group_size": -1}, "bad-shape", "make 1 rows; 2 would be"),
    (gptq, changed(GPTQ, "qzeros", "I32", 2, 7), {}, "bad-shape", "2 groups of 48 zero points take [2, 6]"),
    (gptq, changed(GPTQ, "qzeros", "I32", 2, 5), {}, "bad-shape", "take [2, 6]"),
    (gptq, changed(GPTQ, "qzeros", "I32", 1, 6), {}, "bad-shape", "take [2, 6]"),
    (gptq, changed(GPTQ, "qzeros", "I32", 3, 6), {}, "bad-shape", "take [2, 6]"),
    (gptq, changed(GPTQ, "qweight", "I32", 8, 48, 1), {}, "bad-shape", "expected two axes, none empty"),
    (gptq, without(GPTQ, "scales"), {}, "missing-tensor", "found g_idx, qweight, qzeros"),
    (gptq, without(GPTQ, "qzeros"), {"sym": False}, "missing-tensor", "needs qweight, scales, qzeros"),
    (awq_gemm, changed(AWQ, "scales", "F16", 2, 44), {}, "bad-shape", "44 outputs, the columns of scales, take 5.5"),
    (awq_gemm, changed(AWQ, "qweight", "I32", 64, 7), {}, "bad-shape", "take 6 columns"),
    (awq_gemm, changed(AWQ, "qweight", "I32", 64, 5), {}, "bad-shape", "take 6 columns"),
    (awq_gemm, changed(AWQ, "qzeros", "I32", 3, 6), {}, "bad-shape", "2 groups of 48 outputs take [2, 6]"),
    (awq_gemm, changed(AWQ, "qzeros", "I32", 1, 6), {}, "bad-shape", "take [2, 6]"),
    (awq_gemm, changed(AWQ, "scales", "F16", 4, 48), {}, "bad-shape", "make 2 rows; 4 would be groups of 16"),
)


@pytest.mark.parametrize(("packing", "headers", "settings", "code", "text"), REFUSED)
def test_a_refusal_says_what_was_found_and_what_was_expected(
    packing: Packing, headers: Headers, settings: dict[str, Any], code: str, text: str
) -> None:
    with pytest.raises(QuantError) as caught:
        packing.measure(scheme(packing, **settings), infos(headers))
    assert caught.value.code == code
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("groups", "size", "rows", "in_features"),
    [(3, 20, 8, 60), (2, 32, 8, 64), (3, 32, 9, 72), (1, 20, 3, 20), (1, -1, 3, 24), (2, 40, 9, 72), (1, 1, 1, 1)],
)
def test_where_no_g_idx_counts_inputs_the_groups_do(groups: int, size: int, rows: int, in_features: int) -> None:
    """Fields of the last word that no group covers are padding; a group that is cut short has as many as there are."""
    headers: Headers = {"qweight": ("I32", (rows, 8)), "scales": ("F16", (groups, 8))}
    found = gptq.measure(scheme(gptq, group_size=size, sym=True), infos(headers))
    assert (found.out_features, found.in_features, found.dtype) == (8, in_features, mx.float16)


def test_more_words_than_the_groups_fill_are_no_padding() -> None:
    headers: Headers = {"qweight": ("I32", (8, 8)), "scales": ("F16", (1, 8))}
    with pytest.raises(MalformedCheckpoint, match="64 input channels in groups of 32 make 2 rows"):
        gptq.measure(scheme(gptq, sym=True), infos(headers))


def stood_in(leaf: str, dtype: str, shape: tuple[int, ...], **settings: Any) -> np.ndarray:
    return np.array(gptq.stand_in(scheme(gptq, **settings), leaf, infos({leaf: (dtype, shape)})))


def test_the_group_index_that_stands_in_is_as_desc_act_promises() -> None:
    consecutive, dealt = [0, 0, 0, 1, 1, 1, 2], [0, 1, 2, 0, 1, 2, 0]
    assert stood_in("g_idx", "I32", (7,), group_size=3).tolist() == consecutive
    assert stood_in("g_idx", "I32", (7,), group_size=3, desc_act=True).tolist() == dealt
    assert stood_in("g_idx", "I32", (7,), group_size=3, desc_act=True, static_groups=True).tolist() == consecutive
    assert stood_in("g_idx", "I32", (7,), group_size=-1, desc_act=True).tolist() == [0] * 7
    assert stood_in("g_idx", "I32", (7,), group_size=1).tolist() == list(range(7))
    assert stood_in("g_idx", "I64", (7,), group_size=3).dtype == np.int64


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("width", [1, 3, 8, 11])
@pytest.mark.parametrize(("label", "offset"), [("gptq", -1), ("gptq_v2", 0)])
def test_the_zero_points_that_stand_in_are_in_the_middle(bits: int, width: int, label: str, offset: int) -> None:
    words = stood_in("qzeros", "I32", (2, width), bits=bits, checkpoint_format=label)
    assert words.shape == (2, width)
    assert words.dtype == np.int32
    field, count = (1 << bits - 1) + offset, width * 32 // bits
    for row in words:
        stream = int.from_bytes(row.tobytes(), "little")
        assert stream == sum(field << bits * place for place in range(count))


def test_zero_points_that_stand_in_are_made_in_time_that_grows_with_them() -> None:
    """A header may claim any number of outputs; these took 70 seconds when each field went into one long integer."""
    started = time.process_time()
    stood_in("qzeros", "I32", (1, 1 << 17))
    assert time.process_time() - started < 5


@pytest.mark.parametrize(("packing", "leaf"), [(gptq, "qweight"), (gptq, "scales"), (awq_gemm, "qzeros")])
def test_everything_else_that_stands_in_is_zero(packing: Packing, leaf: str) -> None:
    found = packing.stand_in(scheme(packing), leaf, infos({leaf: ("F16", (3, 5))}))
    assert found.shape == (3, 5)
    assert found.dtype == mx.float16
    assert not mx.any(found).item()


def remarks(fields: list[int], **settings: Any) -> list[str]:
    word = sum(field << 4 * place for place, field in enumerate(fields))
    qzeros = np.array([[word]], np.uint32).view(np.int32)
    tensors = {"qzeros": mx.array(qzeros), "scales": mx.ones((1, 8), mx.float16)}
    return gptq.remarks(scheme(gptq, group_size=-1, **settings), tensors)


@pytest.mark.parametrize(
    ("fields", "settings", "text"),
    [
        ([8] * 8, {"sym": False}, "sym is false, yet every zero point is stored as 8"),
        ([7] * 8, {"sym": False, "checkpoint_format": "gptq_v2"}, "sym is false, yet every zero point is stored as 7"),
        ([8] * 8, {"sym": True}, "labelled 'gptq', but its symmetric zero points are stored as 8, not 7"),
        (
            [7] * 8,
            {"checkpoint_format": "gptq_v2"},
            "labelled 'gptq_v2', but its symmetric zero points",
        ),
        ([7] * 7 + [9], {"sym": True}, "sym is true, yet zero points differ (7 to 9 as stored)"),
        ([7] * 7 + [5], {"sym": True}, "sym is true, yet zero points differ (5 to 7 as stored)"),
        ([6] * 8, {"sym": True}, "sym is true, yet zero points differ (6 to 6 as stored)"),
        ([9] * 8, {"sym": True}, "sym is true, yet zero points differ (9 to 9 as stored)"),
        ([8] * 7 + [7], {"sym": True}, "sym is true, yet zero points differ (7 to 8 as stored)"),
        ([8] * 7 + [9], {"sym": True}, "sym is true, yet zero points differ (8 to 9 as stored)"),
        ([7] * 8, {"sym": True}, None),
        ([7] * 8, {"sym": False}, None),
        ([9] * 8, {"sym": False}, None),
        ([8] * 7 + [7], {"sym": False}, None),
        ([8] * 7 + [9], {"sym": False}, None),
        ([8] * 7 + [9], {}, None),
    ],
)
def test_what_makes_a_label_doubtful_is_remarked(fields: list[int], settings: dict[str, Any], text: str | None) -> None:
    found = remarks(fields, **settings)
    assert len(found) == (text is not None)
    assert all(text and one.startswith(text) for one in found)


def test_modules_wider_than_small_numbers_are_recognised() -> None:
    wide: Headers = {"qweight": ("I32", (64, 4096)), "scales": ("F16", (4, 4096))}
    assert gptq.recognises(infos(wide))


def zero_points(bits: int, words: list[int], **settings: Any) -> list[int]:
    """Zero points as an all-zero module of scale 1 shows them."""
    out = len(words) * 32 // bits
    tensors = {
        "qweight": mx.zeros((bits, out), mx.int32),
        "qzeros": mx.array(np.array([words], np.uint32).view(np.int32)),
        "scales": mx.ones((1, out), mx.float16),
    }
    weight = gptq.decode(scheme(gptq, bits=bits, group_size=-1, **settings), tensors).dense()
    return (-np.array(weight)[:, 0]).astype(int).tolist()


@pytest.mark.parametrize("producer", ["autogptq:1.0.0", "optimum:1.17.0", "a:2.0.0"])
def test_only_gptqmodel_subtracted_from_whole_words(producer: str) -> None:
    true = [0, 0, 0, 0, 0, 0, 1, 2]
    packed = sum(zero << 4 * place for place, zero in enumerate(true))
    stored = [(packed - 0x11111111) % (1 << 32)]
    by_field = [(field + 1) % 16 for field in ((stored[0] >> 4 * place) & 15 for place in range(8))]
    assert by_field != true
    assert zero_points(4, stored, sym=False, meta={"quantizer": [producer]}) == by_field
    assert zero_points(4, stored, sym=False, meta={"quantizer": ["gptqmodel:1.0.0"]}) == true


def test_only_the_very_words_of_old_gptqmodel_stand_for_fours() -> None:
    assert zero_points(3, [0x00000000, 0xB6DB6DB7, 0x49249249]) == [4] * 32
    assert zero_points(3, [0, 0, 0]) == [1] * 32
