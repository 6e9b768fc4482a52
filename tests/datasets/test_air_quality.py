"""The air quality that comes with the package: what it holds, that it is the source's, and that it stays as it is."""

from __future__ import annotations

import fnmatch
import os
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stmest import load_air_quality, load_panel
from stmest.datasets.air_quality import FILE, SOURCE_CHANNELS, packed, unpacked

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def air():
    return load_air_quality()


def test_tables_are_hourly_and_named(air):
    assert air.values.shape == (17544, 12)
    assert air.values.index[[0, -1]].astype(str).tolist() == ["2015-03-01 00:00:00", "2017-02-28 23:00:00"]
    assert air.values.index.to_series().diff().dropna().eq(pd.Timedelta("1h")).all()
    assert air.values.attrs["unit"] == "µg/m³"
    nodes, features = air.features.columns.levels[0], air.features.columns.get_level_values(1)
    assert set(nodes) == set(air.values)
    assert list(dict.fromkeys(features)) == [
        "PM2.5", "temperature", "dew_point", "rain", "wind_u", "wind_v"
    ]  # fmt: skip
    own = air.features.xs("PM2.5", axis=1, level=1)
    pd.testing.assert_frame_equal(own[air.values.columns], air.values, check_names=False)


def test_holes_are_real_runs(air):
    missing = air.values.isna().to_numpy()
    assert 0.02 < missing.mean() < 0.025
    longest = max(
        len(run) for column in missing.T for run in "".join("x" if m else " " for m in column).split()
    )
    assert longest == 167


def test_graph_has_the_sites_at_their_places(air):
    assert list(air.graph.nodes) == list(air.values.columns)
    place = pd.DataFrame(air.graph.coordinates, index=air.graph.nodes, columns=["lat", "lon"])
    assert place.lat.between(39.8, 40.4).all()
    assert place.lon.between(116.1, 116.7).all()
    # the town lies in the south, and Huairou far out in the north-east
    assert place.lat.idxmax() == "Huairou"
    weight = pd.DataFrame(air.graph.to_dense(), air.graph.nodes, air.graph.nodes)
    assert (weight > 0).sum().min() >= 4
    assert weight.loc["Changping"].idxmax() == "Dingling"
    # near sites resemble each other more than far ones
    likeness = air.values.corr().to_numpy()
    joined = weight.to_numpy() > 0
    apart = ~joined & ~np.eye(12, dtype=bool)
    assert likeness[joined].mean() > likeness[apart].mean() + 0.03


def test_wind_blows_towards(air):
    u, v = (air.features.xs(name, axis=1, level=1) for name in ("wind_u", "wind_v"))
    assert np.nanmax(np.hypot(u, v)) < 15
    # in Beijing clean air comes from the north-west: it blows towards the south-east
    from_north_west = (u > 2) & (v < -2)
    assert np.nanmean(air.values[from_north_west]) < 0.7 * np.nanmean(air.values)


@pytest.mark.skipif(
    "STMEST_DATA" not in os.environ, reason="STMEST_DATA names the folder of the source; it is not set"
)
def test_values_are_those_of_the_source(air):
    source = load_panel("beijing_air_12sites")
    later = source.index >= "2015-03-01"

    def channel(name):
        return source.values[later, :, source.channels.index(name)]

    def feature(name):
        return air.features.xs(name, axis=1, level=1).to_numpy()

    assert source.index[later].equals(air.values.index)
    assert source.nodes == list(air.values.columns)
    for name, ours in {"PM2.5": "PM2.5", "DEWP": "dew_point", "RAIN": "rain"}.items():
        np.testing.assert_array_equal(feature(ours).astype(np.float32), channel(name))
    np.testing.assert_allclose(feature("temperature"), channel("TEMP"), atol=0.0501)
    speed = np.where(np.isnan(channel("wd_deg")), np.nan, channel("WSPM"))
    np.testing.assert_allclose(np.hypot(feature("wind_u"), feature("wind_v")), speed, atol=1e-5)
    came_from = np.rad2deg(np.arctan2(-feature("wind_u"), -feature("wind_v"))) % 360
    moving = np.nan_to_num(speed) > 0
    np.testing.assert_allclose((came_from - channel("wd_deg") + 180)[moving] % 360, 180, atol=1e-3)


def test_packing_keeps_every_tenth_and_every_hole():
    rng = np.random.default_rng(0)
    channels = {name: rng.integers(0, 9990, (50, 3)) / 10 for name in SOURCE_CHANNELS}
    channels["wd_deg"] = rng.integers(0, 16, (50, 3)) * 22.5
    channels["TEMP"] -= 400
    for values in channels.values():
        values[rng.random((50, 3)) < 0.2] = np.nan
    again = unpacked(packed(channels))
    for name, values in channels.items():
        np.testing.assert_array_equal(again[name].round(6), values.round(6))


def test_changed_tables_do_not_change_the_next_ones(air):
    first = load_air_quality()
    first.values.iloc[:] = 0.0
    first.features.iloc[:] = 0.0
    pd.testing.assert_frame_equal(load_air_quality().values, air.values)
    with pytest.raises(AttributeError):
        first.values = None


def test_it_needs_no_network(monkeypatch, air):
    def refused(*arguments, **options):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.delenv("STMEST_DATA", raising=False)
    assert load_air_quality().values.shape == air.values.shape


def test_the_file_is_small_and_packed_with_its_origin():
    assert FILE.stat().st_size < 500_000
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '"datasets/beijing_air.*"' in settings
    assert '"NOTICE"' in settings
    beside = [path.name for path in FILE.parent.iterdir() if fnmatch.fnmatch(path.name, "beijing_air.*")]
    assert sorted(beside) == ["beijing_air.md", "beijing_air.npz"]
    for text in ((FILE.parent / "beijing_air.md"), ROOT / "NOTICE"):
        words = text.read_text(encoding="utf-8")
        assert "10.24432/C5RK5G" in words
        assert "creativecommons.org/licenses/by/4.0" in words
