"""Imported once, by the process that the fuzzer's workers are forked from."""

from tests.safety.trial import imports

imports()
