"""How far forecasts are off: errors, images, and whether two forecasters really differ."""
