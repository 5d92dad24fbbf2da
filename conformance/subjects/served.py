"""A Python subject in a process of its own, where it can end or spoil nothing but its own answer.

It is told what a program is told (docs/protocol.md): questions, never which case they are or what is due. If it ends
the process, that one question counts as a crash, and the next one starts it again.
"""

from __future__ import annotations

import json
import os
import shlex
import sys

from .program import CommandSubject

_ROOM = __package__.rpartition(".")[0]
# By -c and not by -m, so that the child looks for modules where this process does and nothing else changes for it.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    f"from {_ROOM}.serve import main; raise SystemExit(main(sys.argv[1:]))"
)


def served(name: str) -> CommandSubject:
    """The subject that ``resolve`` would find, answering from a process of its own.

    Modules are looked for where this process looks, PYTHONPATH included, and in the current directory last.
    CommandError if it cannot be started.
    """
    here = os.getcwd()
    places = [place or here for place in sys.path]
    return CommandSubject(shlex.join([sys.executable, "-c", _START, json.dumps([*places, here]), name]))
