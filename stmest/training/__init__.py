"""The training loop: a skorch net with several loss terms, validation in time and an honest Ctrl-C."""
