"""From a user's container to arrays and windows: the one border between pandas, xarray, torch and the networks."""
