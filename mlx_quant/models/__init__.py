"""What mlx-lm's models expect of a checkpoint, by its ``config.json``: parameters, and where tensors go."""
