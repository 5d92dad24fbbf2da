"""``python -m mlx_quant.cli``."""

from .main import main

main()
