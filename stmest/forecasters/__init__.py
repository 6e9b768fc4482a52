"""The scikit-learn face: forecasters with fit, predict and score."""
