"""Three kinds of demand, so that a correct decoder without our checks, or with another policy, can be told so."""

from __future__ import annotations

SOUND, POLICY, UNSOUND = TIERS = ("sound", "policy", "unsound")
MEANING = {
    SOUND: "decoding sound data, which has one reading",
    POLICY: "what is written down where readers part: stored zero points of all ones, borrows, scales not finite",
    UNSOUND: "refusing input that has something wrong",
}
# What of a module's data or spelling has readers of both kinds among those that made the format.
DISPUTED = frozenset({"policy", "zero-point-0"})
