"""Batches: inputs and targets of the windows, each by the fit that did not see it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from stmest.data.containers import as_panel
from stmest.data.scaling import NodeScaler
from stmest.data.splits import Split
from stmest.data.windows import Windows
from stmest.linear.cross_fit import cross_fit
from stmest.linear.seasonal_mean import SeasonalProfile, less_season
from stmest.linear.window_ridge import fit_ensemble
from stmest.training.encoding import Encoding, WindowLoader

SIZES, LENGTH = (4, 2), 6


def loader(folded, node_dropout=0.0):
    rng = np.random.default_rng(0)
    X = as_panel(np.sin(np.arange(240)[:, None] / 4) + rng.normal(size=(240, 3)))
    split = Split.of(np.array([0, 240]), *SIZES)
    season = SeasonalProfile(24).fit(X.values, None)
    values = less_season(X, season)
    linear = fit_ensemble([(1.0, "global", 1.0, 0)], values, [0], *SIZES, starts=split.train)
    folds = cross_fit(X, season, linear, [0], SIZES, None, split)
    encoding = Encoding(NodeScaler("standard").fit(values), linear, False, [0], knows_ahead=True)
    windows = Windows(values, *SIZES, folds.inside(split.train, LENGTH))
    return WindowLoader(encoding, windows, folds if folded else None, X, node_dropout), X, folds, encoding


def test_a_batch_holds_each_window_by_the_fit_of_its_block():
    load, X, folds, encoding = loader(folded=True)
    positions = [150, 3, 77, 4, 170]
    inputs, target = load(positions)
    assert {name: tuple(tensor.shape) for name, tensor in inputs.items()} == {
        "x": (5, 4, 3, 1),
        "ahead": (5, 2, 3, 2),
    }
    for row, position in enumerate(positions):
        start = load.windows.starts[position]
        season, linear = folds.fits[folds.block_of(start)]
        window = np.asarray(less_season(X, season))[None, start : start + LENGTH]
        forecast = linear.forecast(window[:, :4].astype(np.float32))
        np.testing.assert_allclose(target[row], ((window[:, 4:] - forecast) / encoding.scale)[0], atol=1e-5)
        seen = (forecast - encoding.scaler.center) / encoding.scale
        np.testing.assert_allclose(inputs["ahead"][row, ..., 0], seen[0, ..., 0], atol=1e-5)
        table = season.table - season.table.mean(0)
        expected = table[np.arange(start + 4, start + LENGTH) % 24] / encoding.scale
        np.testing.assert_allclose(inputs["ahead"][row, ..., 1], expected[..., 0], atol=1e-5)


def test_without_folds_all_windows_are_read_by_the_one_fit():
    load, _, _, encoding = loader(folded=False)
    inputs, target = load([5, 2])
    batch = load.windows.gather([5, 2])
    expected = ((batch.y - encoding.linear.forecast(batch.x)) / encoding.scale).astype(np.float32)
    assert torch.equal(target, torch.from_numpy(expected))
    assert inputs["x"].shape == (2, 4, 3, 1)


def test_hidden_nodes_are_missing_in_inputs_and_linear_forecast_and_keep_their_targets():
    load, X, folds, encoding = loader(folded=True, node_dropout=0.3)
    load._parts = [(replace(part, has_gaps=True), windows) for part, windows in load._parts]
    positions = list(range(0, 160, 2))
    torch.manual_seed(0)
    inputs, target = load(positions)
    hidden = ~inputs["x"][..., 1].bool().any(1)  # (b, n)
    assert 0.2 < hidden.float().mean() < 0.4
    assert not inputs["x"][..., 0].permute(0, 2, 1)[hidden].any()
    row, node = (int(place) for place in hidden.nonzero()[0])
    start = load.windows.starts[positions[row]]
    season, linear = folds.fits[folds.block_of(start)]
    window = np.asarray(less_season(X, season))[None, start : start + LENGTH].copy()
    window[:, :4, hidden[row].numpy()] = np.nan
    expected = (window[:, 4:] - linear.forecast(window[:, :4])) / encoding.scale
    np.testing.assert_allclose(target[row, :, node], expected[0, :, node], atol=1e-5)
    again, _ = load(positions)  # others the next time, and the same from the same seed
    assert not torch.equal(again["x"], inputs["x"])
    torch.manual_seed(0)
    assert torch.equal(load(positions)[0]["x"], inputs["x"])
