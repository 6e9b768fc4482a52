"""The closed-form part of a forecast: seasonal mean, ridge regression on windows, ensemble selection."""
