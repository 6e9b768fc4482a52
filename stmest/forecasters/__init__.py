"""The scikit-learn API: forecasters with fit, predict and score."""
