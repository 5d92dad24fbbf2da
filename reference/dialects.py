"""What a checkpoint's configuration says of one of its modules by name, as a configuration of that module alone."""

from __future__ import annotations

import re
from typing import Any

from .config import Config, overridden


def settings_of(module: str, quantization: Config) -> dict[str, Any]:
    """The settings of one module, in the dialect of the checkpoint; uniform ones are everybody's."""
    return _dynamic(module, quantization)


def _dynamic(module: str, quantization: Config) -> dict[str, Any]:
    """GPTQModel's ``dynamic``: the first pattern that matches the start of the name decides; ``-:`` means unpacked."""
    own = {key: value for key, value in quantization.items() if key != "dynamic"}
    for pattern, other in (quantization.get("dynamic") or {}).items():
        if re.match(pattern.removeprefix("+:").removeprefix("-:"), module):
            return own if pattern.startswith("-:") else overridden(own, other or {})
    return own
