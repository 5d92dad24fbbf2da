"""Small floats and their scales, against torch's own, over whole domains; and MLX's packed modes, compared as bits."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
import torch

from mlx_quant.errors import UnsupportedFormat
from mlx_quant.weights.floats import E2M1, e4m3, e8m0, looked_up
from mlx_quant.weights.scaled import Scaled

DTYPES = {mx.float16: torch.float16, mx.bfloat16: torch.bfloat16, mx.float32: torch.float32}
EVERY = mx.arange(256).astype(mx.uint8)


def of_torch(tensor: torch.Tensor) -> np.ndarray:
    return tensor.view({2: torch.int16, 4: torch.int32}[tensor.element_size()]).numpy()


def bits(array: mx.array) -> np.ndarray:
    return np.array(array.view({2: mx.int16, 4: mx.int32}[array.itemsize]))


def test_e4m3_is_torch_s_at_every_code() -> None:
    expected = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).to(torch.float32)
    assert np.array_equal(bits(e4m3(EVERY)), of_torch(expected))


def test_e8m0_is_torch_s_at_every_byte() -> None:
    expected = torch.arange(256, dtype=torch.uint8).view(torch.float8_e8m0fnu).to(torch.float32)
    assert np.array_equal(bits(e8m0(EVERY))[:255], of_torch(expected)[:255])
    assert mx.isnan(e8m0(EVERY)[255]).item()


def test_the_low_nibble_comes_first() -> None:
    found = np.array(looked_up(EVERY[None], mx.array(E2M1)))[0].reshape(256, 2)
    assert np.array_equal(found[:, 0], np.tile(E2M1, 16))
    assert np.array_equal(found[:, 1], np.repeat(E2M1, 16))
    assert np.signbit(found[8, 0]), "code 8 is minus zero"


def every_pair(values: str) -> Scaled:
    """Every code in a row for every E8M0 byte but 255, with scales of 32 inputs."""
    row = EVERY if values == "e4m3" else mx.array([2 * k + 16 * (2 * k + 1) for k in range(8)] * 2, dtype=mx.uint8)
    codes = mx.contiguous(mx.broadcast_to(row, (255, row.size)))
    exponents = mx.repeat(EVERY[:255, None], codes.shape[1] * (1 if values == "e4m3" else 2) // 32, axis=1)
    return Scaled(codes, values, e8m0(exponents), (1, 32), mx.bfloat16, exponents=exponents)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("values", ["e4m3", "e2m1"])
def test_every_code_times_every_power_of_two_is_torch_s(values: str, dtype: mx.Dtype) -> None:
    weight = every_pair(values)
    numbers = {"e4m3": torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn), "e2m1": torch.tensor(E2M1)}[
        values
    ]
    powers = torch.arange(255, dtype=torch.uint8).view(torch.float8_e8m0fnu).to(torch.float64)
    product = powers[:, None] * numbers.to(torch.float64).repeat(weight.shape[1] // len(numbers))
    # Exact in float64, and in float32: no such product has more than 4 bits, or an exponent below 2 ** -136.
    expected = of_torch(product.to(torch.float32).to(DTYPES[dtype]))
    finite = product.isfinite().numpy()
    assert np.array_equal(bits(weight.dense(dtype))[finite], expected[finite])


@pytest.mark.parametrize("dtype", [mx.bfloat16, mx.float32], ids=str)
@pytest.mark.parametrize(("values", "mode"), [("e4m3", "mxfp8"), ("e2m1", "mxfp4")])
def test_mlx_s_packed_mode_holds_the_same_weights(values: str, mode: str, dtype: mx.Dtype) -> None:
    """In float16 MLX rounds the scale first, and so loses the smallest and the largest."""
    weight = every_pair(values)
    native = weight.native()
    parameters = native.parameters
    assert parameters["mode"] == native.mode == mode
    assert native.biases is None
    found = mx.dequantize(native.weight, native.scales, **parameters, dtype=dtype)
    dense = weight.dense(dtype)
    finite = np.array(mx.isfinite(dense.astype(mx.float32)))
    assert np.array_equal(bits(found)[finite], bits(dense)[finite])


def test_blocks_at_the_edges_are_cut_short() -> None:
    rng = np.random.default_rng(0)
    scales = rng.random((3, 4)).astype(np.float32)
    codes = mx.full((70, 100), 0x38, dtype=mx.uint8)
    found = Scaled(codes, "e4m3", mx.array(scales), (32, 32), mx.float32).dense()
    assert np.array_equal(np.array(found), np.repeat(np.repeat(scales, 32, 0)[:70], 32, 1)[:, :100])


def test_matrices_larger_than_a_block_of_rows_are_put_together_again() -> None:
    codes = mx.arange(1100 * 1024).reshape(1100, 1024).astype(mx.uint8) % 120
    scales = mx.arange(1, 1 + 9 * 8).reshape(9, 8).astype(mx.float32)
    whole = e4m3(codes) * mx.repeat(mx.repeat(scales, 128, axis=0)[:1100], 128, axis=1)
    assert mx.array_equal(Scaled(codes, "e4m3", scales, (128, 128), mx.float32).dense(), whole)


def test_a_stack_of_experts_is_as_its_matrices() -> None:
    rng = np.random.default_rng(1)
    codes = mx.array(rng.integers(0, 256, (3, 8, 16)).astype(np.uint8))
    scales = mx.array(rng.random((3, 8, 1)).astype(np.float32))
    stack = Scaled(codes, "e2m1", scales, (1, 32), mx.bfloat16)
    assert stack.shape == (3, 8, 32)
    for expert in range(3):
        alone = Scaled(codes[expert], "e2m1", scales[expert], (1, 32), mx.bfloat16).dense()
        assert mx.array_equal(stack.dense()[expert], alone)


def test_scales_may_be_rounded_to_the_dtype_of_the_result_first() -> None:
    scale = 1 + 2**-8 + 2**-12
    codes = mx.array([[0x3E]], dtype=mx.uint8)
    found = [Scaled(codes, "e4m3", mx.array([[scale]]), (1, 1), mx.bfloat16, rounds) for rounds in (False, True)]
    assert [weight.dense().item() for weight in found] == [1.7578125, 1.765625]
    assert [weight.dense(mx.float32).item() for weight in found] == [1.75 * scale] * 2


@pytest.mark.parametrize(
    ("block", "columns", "exponents"), [((1, 32), 64, False), ((1, 16), 64, True), ((1, 32), 48, True)]
)
def test_what_no_packed_mode_holds_is_refused(block: tuple[int, int], columns: int, exponents: bool) -> None:
    bytes_ = mx.full((2, -(-columns // block[1])), 127, dtype=mx.uint8)
    codes = mx.zeros((2, columns), dtype=mx.uint8)
    weight = Scaled(codes, "e4m3", e8m0(bytes_), block, mx.bfloat16, exponents=bytes_ if exponents else None)
    with pytest.raises(UnsupportedFormat) as refusal:
        weight.native()
    assert refusal.value.code == "unsupported-affine"
