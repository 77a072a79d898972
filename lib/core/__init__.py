"""Configuration, training loop, checkpoints, prediction."""
