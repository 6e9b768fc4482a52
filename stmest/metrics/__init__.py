"""How far forecasts are off: errors, intervals, images, and whether two forecasters really differ."""
