"""The training of a network: a skorch net with auxiliary loss terms, encoding, callbacks, checkpoints, diagnostics."""
