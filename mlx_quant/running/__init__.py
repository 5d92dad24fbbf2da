"""From a packed checkpoint to a running model."""
