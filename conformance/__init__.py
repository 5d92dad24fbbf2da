"""The conformance suite: does a loader decode packed checkpoints correctly?

Whatever is under test, and the oracle it is held to, are *subjects* named by a string; nothing here imports either.
"""

SUITE_VERSION = "2026.5"
