"""From a fitted model to forecasts: windows, roll-out over many steps, intervals."""
