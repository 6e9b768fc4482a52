"""
Fields on a grid
================

Truth, forecast and error of a field side by side: the vorticity of a simulated flow, forecast by a small U-Net that saw
fourteen other flows for a few epochs.
"""

from stmest import UNetForecaster
from stmest.datasets import make_navier_stokes
from stmest.plotting import FieldDisplay

flows = make_navier_stokes(15, resolution=32, n_steps=14, random_state=0)  # (trajectory, time, y, x, feature)
model = UNetForecaster(input_length=6, horizon=6, max_epochs=8, random_state=0).fit(flows[:14])

# %%
# The last six fields of the fifteenth flow are forecast from those before them. The colours of the errors have a scale of
# their own.

display = FieldDisplay.from_estimator(model, flows[14], steps=[1, 3, 6])
