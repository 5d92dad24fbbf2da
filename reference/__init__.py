"""The CPU PyTorch port of the pack and unpack mathematics of AutoGPTQ, GPTQModel and AutoAWQ: the oracle.

Plain and slow on purpose, one Python loop per field, so that it can be read beside the upstream formulas. It shares no
code with the production core, down to reading the configuration. What it decodes equals auto-gptq 0.7.1 and
autoawq 0.2.9 bit for bit (``fixtures/<format>/vectors``); where those disagree with themselves, docs/policies.md holds.
"""

from .subject import SUBJECT, dequantize, pack, unpack
from .unpacked import Refused, Unpacked

__all__ = ["SUBJECT", "Refused", "Unpacked", "dequantize", "pack", "unpack"]
