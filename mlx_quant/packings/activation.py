"""AutoAWQ's scaled activations: what an activation gives is divided, by channel, before the next layer meets it.

On disk: ``mlp.act.scales`` [channels] beside the packed layer that follows, whose columns were multiplied by the same
numbers before it was packed. MLX's models have no such parameter, so the divisors are moved into the columns of that
layer. It is known by its name: AutoAWQ makes scaled activations of the models below, and each has one layer behind
them. Source: autoawq 0.2.9, ``modules/act.py``, ``quantize/scale.py`` (``apply_scale``) and ``get_layers_for_scaling``
of its models.
"""

from __future__ import annotations

from collections.abc import Collection

import mlx.core as mx

from ..dialects import awq
from ..dialects.schemes import Scheme
from ..errors import MalformedCheckpoint
from ..files.folder import TensorInfo
from ..weights.decoded import Weight
from ..weights.divided import Divided
from . import checks
from .protocol import Infos, Tensors

# The local name of the divisors among the tensors of the layer that follows.
LEAF = "act.scales"
# The layer that follows: of Starcoder2 and GPT-BigCode, of GPT-J, of GPT-NeoX and Falcon.
NEXT = ("c_proj", "fc_out", "dense_4h_to_h")

_SUFFIX = f".{LEAF}"
_CODES = ".qweight"


def followers(names: Collection[str], default: Scheme) -> dict[str, str]:
    """Packed module to the full name of its divisors, where a known layer follows a scaled activation.

    Nobody but AutoAWQ writes them: none under the configuration of another dialect, which ``default`` tells.
    """
    found = {}
    for name in names:
        if default.dialect == awq.ID and name.endswith(_SUFFIX):
            beside = [f"{name.removesuffix(LEAF)}{leaf}" for leaf in NEXT]
            packed = [module for module in beside if f"{module}{_CODES}" in names]
            if len(packed) == 1:
                found[packed[0]] = name
    return found


def measure(info: TensorInfo, in_features: int) -> None:
    """Refuse divisors that do not fit the inputs of a layer.

    Raises UnsupportedFormat ``unsupported-dtype``; MalformedCheckpoint ``bad-shape``.
    """
    infos: Infos = {LEAF: info}
    checks.floats(infos, LEAF)
    if info.shape != (in_features,):
        raise checks.bad_shape(infos, LEAF, f"expected one for each of {in_features} inputs")


def divided(weight: Weight, columns: mx.array) -> Divided:
    """The weight with its divisors; MalformedCheckpoint ``non-finite-scales`` where nothing can be divided by one."""
    checks.finite({LEAF: columns}, LEAF)
    if not columns.all().item():
        raise MalformedCheckpoint("non-finite-scales", "an input is divided by zero", where=LEAF)
    return Divided(weight, columns)


def apart(scheme: Scheme, tensors: Tensors) -> tuple[dict[str, mx.array], mx.array | None]:
    """The tensors of the packing itself, and the divisors of its inputs."""
    if scheme.dialect != awq.ID:
        return dict(tensors), None
    return {name: array for name, array in tensors.items() if name != LEAF}, tensors.get(LEAF)
