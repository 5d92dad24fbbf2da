"""From a packed checkpoint to one that ``mlx_lm.load`` reads."""
