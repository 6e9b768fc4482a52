"""Every container becomes the same panel and comes back as its own kind."""

from __future__ import annotations

import importlib.util
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from stmest.data.containers import as_panel
from stmest.data.time_index import follows, future_index
from stmest.exceptions import DataError, StmestError
from tests.faults.unusable import UNUSABLE_X

INDEX = pd.date_range("2024-03-01", periods=6, freq="h", name="time")
NODES = ["north", "south", "west"]
DATES = pd.date_range("2024-01-01", periods=60)


@pytest.fixture
def wide():
    values = np.arange(18.0).reshape(6, 3)
    values[2, 1] = np.nan
    return pd.DataFrame(values, index=INDEX, columns=NODES)


def long_of(wide):
    return (
        wide.rename_axis(index="time")
        .reset_index()
        .melt("time", var_name="node")
        .sort_values("time", kind="stable")
    )


def containers(wide):
    long = long_of(wide)
    return {
        "array": wide.to_numpy(),
        "array 3-D": wide.to_numpy()[..., None],
        "list": wide.to_numpy().tolist(),
        "tensor": torch.tensor(wide.to_numpy(copy=True)),
        "wide": wide,
        "wide, nullable": wide.astype("Float64"),
        "long columns": long,
        "long, Nixtla's names": long.rename(columns={"time": "ds", "node": "unique_id", "value": "y"}),
        "long rows (time, node)": long.set_index(["time", "node"]),
        "long rows (node, time)": long.set_index(["node", "time"]),
        "xarray": xr.DataArray(wide.to_numpy(), coords={"time": INDEX, "node": NODES}, dims=["time", "node"]),
        "xarray, node first": xr.DataArray(
            wide.to_numpy().T, coords={"node": NODES, "time": INDEX}, dims=["node", "time"]
        ),
    }


KINDS = list(containers(pd.DataFrame(np.zeros((6, 3)), index=INDEX, columns=NODES)))


@pytest.mark.parametrize("kind", KINDS)
def test_all_containers_hold_the_same_values(wide, kind):
    panel = as_panel(containers(wide)[kind])
    np.testing.assert_array_equal(panel.values[..., 0], wide.to_numpy())
    assert panel.nodes in (None, NODES)
    assert panel.index is None or panel.index.equals(INDEX)


@pytest.mark.parametrize("kind", KINDS)
def test_panels_can_be_pickled(wide, kind):
    panel = as_panel(containers(wide)[kind])
    again = pickle.loads(pickle.dumps(panel))
    forecast = np.full((2, 3, 1), 7.0)
    assert str(again.like(forecast, [0])) == str(panel.like(forecast, [0]))


@pytest.mark.parametrize("kind", KINDS)
def test_forecasts_come_back_in_the_kind_that_came_in(wide, kind):
    X = containers(wide)[kind]
    panel = as_panel(X)
    forecast = panel.like(np.full((2, 3, 1), 7.0), [0])
    again = as_panel(forecast)
    assert type(forecast) is (np.ndarray if kind == "list" else type(X))
    assert again.values.shape == (2, 3, 1)
    assert (again.values == 7.0).all()
    assert again.nodes == panel.nodes
    if panel.index is not None:
        assert list(again.index) == list(INDEX[-1] + pd.to_timedelta([1, 2], unit="h"))
    if hasattr(X, "dims"):
        assert forecast.dims == X.dims
    if kind.startswith("long"):
        assert list(forecast.columns) == list(X.columns)
        assert forecast.index.names == X.index.names


def test_float_arrays_are_not_copied():
    for dtype in (np.float32, np.float64):
        X = np.random.default_rng(0).normal(size=(10, 4)).astype(dtype)
        assert np.shares_memory(as_panel(X).values, X)
    frame = pd.DataFrame(X)
    assert np.shares_memory(as_panel(frame).values, frame.to_numpy())


def test_memory_maps_stay_on_disk(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((100, 3), dtype=np.float32))
    X = np.load(tmp_path / "x.npy", mmap_mode="r")
    values = as_panel(X).values
    assert np.shares_memory(values, X)


def test_node_feature_columns_make_a_third_axis():
    columns = pd.MultiIndex.from_product([["a", "b"], ["flow", "speed"]])
    frame = pd.DataFrame(np.arange(12.0).reshape(3, 4), index=INDEX[:3], columns=columns)
    panel = as_panel(frame[[("b", "speed"), ("a", "flow"), ("b", "flow"), ("a", "speed")]])
    assert panel.features == ["speed", "flow"]
    assert panel.nodes == ["b", "a"]
    np.testing.assert_array_equal(panel.values[1], [[7.0, 6.0], [5.0, 4.0]])
    back = panel.like(np.ones((1, 2, 1)), [1])
    assert list(back.columns) == [("b", "flow"), ("a", "flow")]


def test_long_table_with_absent_rows_has_gaps(wide):
    long = long_of(wide).reset_index(drop=True).drop(index=[4, 5])
    panel = as_panel(long.sample(frac=1, random_state=0))
    expected = wide.reindex(columns=panel.nodes).to_numpy().copy()
    expected[1, [panel.nodes.index("south"), panel.nodes.index("west")]] = np.nan
    np.testing.assert_array_equal(panel.values[..., 0], expected)


@pytest.mark.parametrize("case", UNUSABLE_X)
def test_what_cannot_be_used_is_refused_with_a_reason(case):
    X, words = UNUSABLE_X[case]
    with pytest.raises(DataError, match=f"(?s){words}"):
        as_panel(X)


def test_a_data_array_of_one_axis():
    with pytest.raises(DataError, match="needed"):
        as_panel(xr.DataArray(np.zeros(3), dims="time"))


def test_our_own_refusals_are_data_errors():
    assert issubclass(DataError, ValueError)
    assert issubclass(DataError, StmestError)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (pd.RangeIndex(0, 6, 2), [6, 8]),
        (pd.Index([1.0, 1.5, 2.0]), [2.5, 3.0]),
        (pd.period_range("2024-01", periods=3, freq="M"), list(pd.period_range("2024-04", periods=2, freq="M"))),
        (pd.date_range("2024-01-31", periods=3, freq="ME"), list(pd.to_datetime(["2024-04-30", "2024-05-31"]))),
        (pd.to_datetime(["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 05:00", "2024-01-01 06:00"]),
         list(pd.to_datetime(["2024-01-01 07:00", "2024-01-01 08:00"]))),
        (pd.DatetimeIndex(["2024-01-01"]), list(pd.to_datetime(["2024-01-01 01:00", "2024-01-01 02:00"]))),
    ],
)  # fmt: skip
def test_future_index(index, expected):
    assert list(future_index(index, 2)) == expected


def test_future_index_keeps_the_time_zone():
    index = pd.date_range("2024-03-30", periods=30, freq="h", tz="Europe/Paris")
    assert future_index(index, 1)[0] == index[-1] + pd.Timedelta(1, "h")


def test_follows():
    index = pd.date_range("2024-01-01", periods=4, freq="D")
    assert follows(index[:2], index[2:])
    assert not follows(index[:2], index[3:])
    assert not follows(None, index)
    assert not follows(index, pd.RangeIndex(4))
    assert not follows(index[:2], index[2:].tz_localize("UTC"))


@settings(deadline=None, max_examples=40)
@given(n_times=st.integers(1, 7), n_nodes=st.integers(1, 4), seed=st.integers(0, 2**20))
def test_long_and_wide_tables_agree(n_times, n_nodes, seed):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((n_times, n_nodes)) < 0.2, np.nan, rng.normal(size=(n_times, n_nodes)))
    frame = pd.DataFrame(
        values, index=pd.RangeIndex(n_times, name="time"), columns=[f"n{i}" for i in range(n_nodes)]
    )
    long = long_of(frame)
    panel = as_panel(long.sample(frac=1, random_state=seed)).with_nodes(list(frame.columns))
    np.testing.assert_array_equal(panel.values[..., 0], values)


# ---------------------------------------------------------------- which level is what


def _rows(ids, times, names):
    index = pd.MultiIndex.from_product([ids, times], names=names)
    return pd.DataFrame({"y": np.arange(float(len(index)))}, index=index)


@pytest.mark.parametrize(
    "names",
    [
        ["instances", "timepoints"],
        ["unique_id", "ds"],
        ["station", "t"],
        ["id", None],
        [None, "time"],
        ["a", "step"],
        ["Node", "b"],
    ],
)
@pytest.mark.parametrize(
    "times", [range(60), pd.date_range("2024-01-01", periods=60), pd.Index(range(60), dtype="Int64")]
)
def test_the_level_of_times_is_known_by_names_or_types(names, times):
    frame = _rows(range(2), times, names)
    panel = as_panel(frame)
    np.testing.assert_array_equal(panel.values[..., 0], np.arange(120.0).reshape(2, 60).T)
    back = panel.like(np.zeros((1, 2, 1)), [0])
    assert list(back.index.names) == names
    assert [label[0] for label in back.index] == [0, 1]
    np.testing.assert_array_equal(as_panel(frame.swaplevel()).values, panel.values)


def test_the_level_of_times_is_the_one_that_can_be_read():
    for times in (range(60), DATES, DATES.astype(str), [f"{day:%d.%m.%Y}" for day in DATES]):
        for ids in (["a", "b"], ["007", "x"]):
            assert as_panel(_rows(ids, times, [None, None])).values.shape == (60, 2, 1)
    assert as_panel(_rows([7, 8], DATES.astype(str), [None, None])).values.shape == (60, 2, 1)


def test_two_levels_that_can_be_the_time_are_refused():
    with pytest.raises(DataError, match=r"\[None, None\].*not clear.*X.index.names"):
        as_panel(_rows(range(2), range(60), [None, None]))
    with pytest.raises(DataError, match="not clear"):
        as_panel(_rows(range(2), range(60), ["p", "q"]))


def test_column_pairs_are_known_by_their_names(wide):
    pairs = pd.concat({"flow": wide, "speed": wide + 100}, axis=1, names=["feature", "node"])
    panel = as_panel(pairs)
    assert (panel.nodes, panel.features) == (NODES, ["flow", "speed"])
    np.testing.assert_array_equal(panel.values[..., 1], wide.to_numpy() + 100)
    forecast = panel.like(panel.values[:2], [0, 1])
    assert list(forecast.columns) == list(pairs.columns)
    np.testing.assert_array_equal(forecast.to_numpy(), pairs.to_numpy()[:2])
    for names in (["feature", None], [None, "sensor"], ["Variable", "Station"]):
        assert as_panel(pairs.rename_axis(columns=names)).nodes == NODES
    for names in ([None, None], ["node", "feature"], ["a", "b"]):
        assert as_panel(pairs.rename_axis(columns=names)).nodes == ["flow", "speed"]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_row_without_a_node_is_refused(wide, missing):
    long = long_of(wide).reset_index(drop=True).astype({"node": object})
    long.loc[3, "node"] = missing
    with pytest.raises(DataError, match="row 3 of X has no node"):
        as_panel(long)
    with pytest.raises(DataError, match="row 3 of X has no node"):
        as_panel(long.set_index(["node", "time"]))


# ---------------------------------------------------------------- times of any kind, and where they lie


@pytest.mark.parametrize(
    "how", [str, "Int64", "timestamp[us][pyarrow]", "date32[pyarrow]", "{:%d.%m.%Y}", "epoch", "date"]
)
@pytest.mark.parametrize("is_long", [False, True])
def test_times_of_any_kind_are_read(how, is_long):
    index = DATES
    if how == "Int64":
        index = pd.Index(range(60), dtype="Int64")
    elif how == "epoch":
        index = pd.Index(DATES.as_unit("s").asi8)
    elif how == "date":
        index = pd.Index(DATES.date)
    elif isinstance(how, str) and how.startswith("{"):
        index = pd.Index([how.format(day) for day in DATES])
    else:
        index = DATES.astype(how) if how != "date32[pyarrow]" else pd.Index(DATES.date).astype(how)
    frame = pd.DataFrame({"a": np.arange(60.0), "b": 1.0}, index=index)
    panel = as_panel(long_of(frame) if is_long else frame)
    assert list(panel.index) == (list(range(60)) if how == "Int64" else list(DATES))
    np.testing.assert_array_equal(panel.values[:, 0, 0], np.arange(60.0))


@pytest.mark.parametrize("column", [DATES, DATES.astype(str), DATES.date, range(60)])
def test_a_column_of_times_beside_numbered_rows_is_no_sensor(column):
    frame = pd.DataFrame({"time": column, "a": 1.0})
    with pytest.raises(DataError, match=r"column 'time'.*X.set_index\('time'\)"):
        as_panel(frame)
    if not isinstance(column, range):
        assert as_panel(frame.set_index("time")).nodes == ["a"]
    with pytest.raises(DataError, match=r"'year', 'month', 'day'.*set_index"):
        as_panel(pd.DataFrame({"year": DATES.year, "month": DATES.month, "day": DATES.day, "a": 1.0}))
    assert as_panel(pd.DataFrame({"date": [3.0, 1.0, 2.0], "a": 1.0})).nodes == ["date", "a"]


def _polars():
    return pytest.importorskip("polars")


def _arrow_tables(frame):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    yield table
    if importlib.util.find_spec("polars"):
        yield _polars().DataFrame(table)


@pytest.mark.parametrize(
    "times",
    [
        INDEX,
        INDEX.astype(str),
        INDEX.as_unit("s").asi8,
        [f"{time:%d.%m.%Y %H:%M}" for time in INDEX],
        INDEX.tz_localize("UTC"),
    ],
)
def test_tables_of_other_libraries_keep_names_and_times(wide, times):
    for table in _arrow_tables(wide.reset_index(drop=True).assign(time=times)):
        panel = as_panel(table)
        assert panel.nodes == NODES
        np.testing.assert_array_equal(panel.values[..., 0], wide.to_numpy())
        assert [str(time)[:19] for time in panel.index] == [str(time) for time in INDEX]
        forecast = panel.like(np.full((2, 3, 1), 7.0), [0])
        assert type(forecast) is type(table)
        assert list(as_panel(forecast).index) == list(panel.future(2))


def test_tables_of_other_libraries_in_other_layouts(wide):
    long = long_of(wide)
    days = wide.reset_index(drop=True).assign(year=2024, month=3, day=range(1, 7))
    for table in _arrow_tables(long):
        assert as_panel(table).nodes == NODES
        assert list(as_panel(table).like(np.zeros((1, 3, 1)), [0]).to_pandas().columns) == list(long.columns)
    for table in _arrow_tables(days):
        assert (as_panel(table).nodes, as_panel(table).index[-1]) == (NODES, pd.Timestamp("2024-03-06"))
    for table in _arrow_tables(wide.reset_index(drop=True)):
        assert (as_panel(table).nodes, as_panel(table).index) == (NODES, None)
        assert type(as_panel(table).like(np.zeros((1, 3, 1)), [0])) is type(table)
    for table in _arrow_tables(wide.reset_index().assign(other=INDEX, date=INDEX)):
        with pytest.raises(DataError, match="several columns of times"):
            as_panel(table)


# ---------------------------------------------------------------- xarray


def _field(**coords):
    values = np.random.default_rng(0).normal(size=(6, 3, 4))
    axes = {"lat": [3.0, 2.0, 1.0], "lon": [0.0, 1.0, 2.0, 3.0]}
    return xr.DataArray(values, {"time": INDEX.rename(None), **axes, **coords}, ["time", "lat", "lon"])


@pytest.mark.parametrize("name", ["time", "t", "valid_time", "when", "lead"])
@pytest.mark.parametrize("dims", [(0, 1, 2), (1, 2, 0), (2, 1, 0), (1, 0, 2)])
def test_the_dimension_with_dates_is_the_time(name, dims):
    field = _field().rename(time=name)
    moved = field.transpose(*(field.dims[place] for place in dims))
    panel = as_panel(moved)
    np.testing.assert_array_equal(panel.values, as_panel(_field()).values)
    assert list(panel.index) == list(INDEX)
    assert panel.like(panel.values[:2], [0]).dims == moved.dims


def test_numbered_steps_along_which_dates_lie():
    field = _field().rename(time="step").drop_vars("step")
    assert as_panel(field.assign_coords(valid_time=("step", INDEX))).index[0] == INDEX[0]
    assert as_panel(field).index is None
    assert as_panel(field.transpose("lat", "lon", "step")).values.shape == (6, 12, 1)


def test_variables_of_a_dataset_are_features():
    one = as_panel(_field().to_dataset(name="t2m"))
    np.testing.assert_array_equal(one.values, as_panel(_field()).values)
    assert one.like(one.values[:2], [0]).t2m.dims == ("time", "lat", "lon")
    both = xr.Dataset(
        {
            "u": _field(),
            "v": 2 * _field(),
            "height": _field()[0],
            "time_bnds": (("time", "edge"), np.zeros((6, 2))),
        }
    )
    both.time.attrs["bounds"] = "time_bnds"
    panel = as_panel(both)
    assert panel.features == ["u", "v"]
    np.testing.assert_array_equal(panel.values[..., 1], 2 * panel.values[..., 0])
    forecast = panel.like(panel.values[:2, :, 1:], [1])
    assert list(forecast.data_vars) == ["v"]
    np.testing.assert_array_equal(forecast.v, 2 * _field()[:2])
    sensors = as_panel(
        xr.Dataset({name: (("time", "node"), np.ones((6, 3))) for name in "uv"}, {"time": INDEX.to_numpy()})
    )
    assert (sensors.values.shape, sensors.features) == ((6, 3, 2), ["u", "v"])
    with pytest.raises(DataError, match=r"u .*v .*Choose one: X\['u'\]"):
        as_panel(xr.Dataset({"u": _field(), "v": _field().mean("lat")}))
    with pytest.raises(DataError, match="holds nothing"):
        as_panel(xr.Dataset())


@pytest.mark.parametrize("calendar", ["noleap", "standard", "proleptic_gregorian", "360_day"])
def test_model_calendars(calendar):
    pytest.importorskip("cftime")
    dates = xr.date_range("2001-01-01", periods=6, freq="MS", calendar=calendar, use_cftime=True)
    assert list(as_panel(_field(time=dates)).index) == list(pd.date_range("2001-01-01", periods=6, freq="MS"))
    days = xr.date_range("2001-02-27", periods=6, freq="D", calendar="360_day", use_cftime=True)
    with pytest.raises(DataError, match="convert_calendar"):
        as_panel(_field(time=days))


# ---------------------------------------------------------------- what hides in columns


HOURS = pd.date_range("2024-01-01", periods=30, freq="h")


@pytest.mark.parametrize(
    "names",
    [("sensor", "timestamp", "speed"), ("unique_id", "Date", "value"), ("station_id", "epoch", "flow")],
)
def test_long_tables_by_the_names_of_their_columns(names):
    node, time, value = names
    table = pd.DataFrame({node: [7] * 30 + [9] * 30, time: [*range(30), *range(30)], value: np.arange(60.0)})
    for order in ([node, time, value], [value, time, node]):
        panel = as_panel(table[order])
        assert (panel.nodes, panel.values.shape) == ([7, 9], (30, 2, 1))
        assert panel.values[0].ravel().tolist() == [0, 30]
    with pytest.raises(DataError, match=rf"X.set_index\(\['{time}', '{node}'\]\)"):
        as_panel(table.assign(more=1.0))


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("when", HOURS.astype(str)),
        ("stamp", HOURS.strftime("%d/%m/%Y")),
        ("epoch", 1_700_000_000 + 3600 * np.arange(30)),
    ],
)
def test_times_in_a_column_of_any_name_are_no_node(name, times):
    with pytest.raises(DataError, match=rf"column '{name}' of type .* holds times.*X.set_index\('{name}'\)"):
        as_panel(pd.DataFrame({name: list(times), "a": np.arange(30.0)}))


def test_a_row_per_node_is_refused_with_the_way_out():
    rows = pd.DataFrame(np.ones((5, 4)), columns=["id", "2024-01-01", "2024-01-02", "2024-01-03"])
    with pytest.raises(DataError, match=r"there seems to be a row per node.*X.set_index\('id'\).T"):
        as_panel(rows)
    with pytest.raises(DataError, match=r"there seems to be a row per node.*give X.T"):
        as_panel(pd.DataFrame(np.ones((2, 30)), index=["a", "b"], columns=HOURS))


@pytest.mark.parametrize("name", [np.nan, None])
def test_nodes_without_a_name_are_refused(name):
    with pytest.raises(DataError, match="column 2 of 3 of X has no name"):
        as_panel(pd.DataFrame(np.ones((5, 3)), columns=["a", name, "c"]))


@pytest.mark.parametrize("names", [("Attributes", "Ticker"), ("param", "site"), ("var", "cell")])
def test_more_names_of_levels(names):
    columns = pd.MultiIndex.from_product([["flow", "speed"], ["x", "y", "z"]], names=names)
    panel = as_panel(pd.DataFrame(np.ones((5, 6)), columns=columns))
    assert (panel.nodes, panel.features) == (["x", "y", "z"], ["flow", "speed"])


def test_later_rows_without_names_take_those_of_the_earlier_ones():
    X = pd.DataFrame(
        np.ones((5, 2)), index=HOURS[:5].rename("t"), columns=pd.Index(["a", "b"], name="station")
    )
    later = pd.DataFrame(np.ones((2, 2)), index=HOURS[5:7], columns=["a", "b"])
    both = as_panel(X).followed_by(as_panel(later))
    forecast = both.like(np.ones((1, 2, 1)), [0])
    assert (forecast.index.name, forecast.columns.name) == ("t", "station")
