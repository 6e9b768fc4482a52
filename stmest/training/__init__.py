"""The training loop: a skorch net with auxiliary loss terms, validation in time, checkpoints, and Ctrl-C that keeps the best."""
