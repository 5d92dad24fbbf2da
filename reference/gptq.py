"""GPTQ, 4 bits, ``checkpoint_format: gptq``.

Formulas: auto_gptq 0.7.1, ``nn_modules/qlinear/qlinear_cuda.py`` and ``qlinear_cuda_old.py`` (``pack`` and the CPU
branch of ``forward``). Tensors in torch's [in, out] orientation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from .common import Refused, Unpacked, check_scales, check_shape, check_words, nibble, word


def unpack(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module; Refused where the formulas do not apply."""
    if config.get("bits", config.get("w_bit", config.get("wbits"))) != 4:
        raise Refused("only 4 bits")
    label = config.get("format") or config.get("checkpoint_format") or "gptq"
    if config.get("is_marlin_format"):
        label = "marlin"
    for name in ("qweight", "scales"):
        if name not in tensors:
            raise Refused(f"{name} is missing")
    for name in ("qweight", "qzeros"):
        if name in tensors:
            check_words(name, tensors[name])
    qweight, scales = tensors["qweight"], tensors["scales"]
    check_scales(scales)
    rows, out = qweight.shape
    g_idx = tensors.get("g_idx")
    if g_idx is not None and g_idx.ndim != 1:
        raise Refused(f"g_idx has shape {tuple(g_idx.shape)}, expected one axis")
    in_features = rows * 8 if g_idx is None else len(g_idx)
    if -(-in_features // 8) != rows:
        raise Refused("g_idx and qweight disagree on the input count")
    group_size = config.get("group_size", config.get("q_group_size", -1))
    group_size = in_features if group_size == -1 else group_size
    groups = -(-in_features // group_size)
    check_shape("scales", scales, (groups, out))

    q = torch.zeros(rows * 8, out, dtype=torch.int32)
    for j in range(8):
        q[j::8] = nibble(qweight, j)
    q = q[:in_features].T.contiguous()

    z = _zeros(config, label, tensors.get("qzeros"), groups, out)
    if g_idx is None and config.get("desc_act") and not config.get("static_groups") and groups > 1:
        raise Refused("desc_act without g_idx")
    g = torch.arange(in_features) // group_size if g_idx is None else g_idx.to(torch.int64)
    if g.min() < 0 or g.max() >= groups:
        raise Refused("g_idx names a group that does not exist")
    return Unpacked(q, z, scales, g)


def _zeros(config: Mapping[str, Any], label: str, qzeros: torch.Tensor | None, groups: int, out: int) -> torch.Tensor:
    symmetric = config.get("sym") is True
    if qzeros is None:
        if not symmetric or label != "gptq":
            raise Refused("qzeros is missing")
        return torch.full((groups, out), 8, dtype=torch.int32)
    columns = -(-out // 8)
    check_shape("qzeros", qzeros, (groups, columns))
    if _borrowed(config):
        # The writer subtracted 0x11111111 from whole words, so whole words get it back, carries and all.
        whole = (qzeros.to(torch.int64) + 0x11111111) & 0xFFFFFFFF
        qzeros = torch.where(whole >= 2**31, whole - 2**32, whole).to(torch.int32)
        offset = 0
    else:
        offset = 1
    stored = torch.zeros(groups, columns * 8, dtype=torch.int32)
    for j in range(8):
        stored[:, j::8] = nibble(qzeros, j)
    stored = stored[:, :out]
    if symmetric:
        # A symmetric file's zero point is 8; eights under the label gptq, or sevens under gptq_v2, are a wrong label.
        if label == "gptq" and bool((stored == 8).all()):
            return stored
        if label == "gptq_v2" and bool((stored == 7).all()):
            return stored + 1
    if label != "gptq":
        raise Refused(f"layout {label}")
    return (stored + offset) % 16


def _borrowed(config: Mapping[str, Any]) -> bool:
    meta = config.get("meta") or {}
    quantizer = meta.get("quantizer") or config.get("quantizer") or ""
    if isinstance(quantizer, list):
        quantizer = quantizer[0] if quantizer else ""
    name, _, version = str(quantizer).partition(":")
    numbers = [int("".join(c for c in part if c.isdigit()) or 0) for part in version.split(".")[:2]]
    return name.strip().lower() == "gptqmodel" and numbers >= [0, 9] and config.get("sym") is False


def pack(q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """The tensors AutoGPTQ would store: ``q`` [out, in], ``z`` and ``s`` [groups, out], ``g`` [in] or None.

    Fields are packed modulo 16. AutoGPTQ itself smears a zero point of 0 over the rest of its word
    (docs/policies.md); that accident is a fixture, not a formula.
    """
    out, in_features = q.shape
    rows = -(-in_features // 8)
    codes = torch.zeros(rows * 8, out, dtype=torch.int32)
    codes[:in_features] = q.T
    stored = torch.zeros(z.shape[0], -(-out // 8) * 8, dtype=torch.int32)
    stored[:, :out] = (z - 1) % 16
    tensors = {
        "qweight": word([codes[j::8] for j in range(8)]),
        "qzeros": word([stored[:, j::8] for j in range(8)]),
        "scales": s,
    }
    if g is not None:
        tensors["g_idx"] = g.to(torch.int32)
    return tensors
