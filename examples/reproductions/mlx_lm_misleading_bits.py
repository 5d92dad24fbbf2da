"""mlx-lm's refusal of other widths names the width it was given as the one that is supported."""

from mlx_lm.utils import _transform_awq_weights

print("expected: only 4 bits are supported, got 8")
try:
    _transform_awq_weights({}, {"bits": 8})
except ValueError as error:
    print("got:     ", error)
