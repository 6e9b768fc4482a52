"""Model files of every forecaster: the same bits come back, and nothing but a sound file is opened."""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback

import stmest
from stmest.exceptions import DataError, DeviceError, ModelFileError
from stmest.storage.tensor_file import read_tensor_file, write_tensor_file
from tests.crossing import crossed

from .small import FIELD_NAMES, names, network_names, saved_names, small
from .tiny import TinyForecaster

ROWS = pd.date_range("2024-03-01", periods=80, freq="h", name="time")
NODES = ["north", "south", "east"]
ADJACENCY = np.array([[0, 1, 0], [0, 0, 0.5], [0, 0, 0]])


@pytest.fixture(scope="module")
def frame():
    t = np.arange(len(ROWS))[:, None]
    noise = np.random.default_rng(0).normal(size=(len(ROWS), 3))
    return pd.DataFrame(10 + np.sin(t / 4 + np.arange(3)) + 0.1 * noise, ROWS, NODES)


@pytest.fixture(scope="module")
def fitted(frame):
    return {name: small(name).fit(frame, ADJACENCY) for name in names()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def saved(model, path, **settings):
    model.save(path)
    return stmest.load(path, **settings)


def settings(model):
    """All parameters, also those of members, but the members themselves; a loaded network is on the best device."""
    values = model.get_params().items()
    plain = {key: value for key, value in values if key != "forecasters" and not hasattr(value, "get_params")}
    return {key: "auto" if key.endswith("device") else value for key, value in plain.items()}


def same_state(first, second):
    """Whether two forecasters hold the same, attribute by attribute."""
    mine, theirs = (pickle.dumps(model.__getstate__()) for model in (first, second))
    return mine == theirs


# ---------------------------------------------------------------- the same bits


@pytest.mark.parametrize("name", FIELD_NAMES)
def test_fields_with_their_coordinates_come_back(name, frame, path):
    xarray = pytest.importorskip("xarray")
    values = frame.to_numpy().reshape(80, 3, 1) + np.arange(4)
    coords = {"time": ROWS, "lat": [50.0, 51.0, 52.0], "lon": [1.0, 2.0, 3.0, 4.0]}
    field = xarray.DataArray(values, coords, name="temperature", attrs={"units": "K"})
    model = small(name).fit(field)
    xarray.testing.assert_identical(saved(model, path).predict(), model.predict())


@pytest.mark.parametrize("name", saved_names())
def test_a_loaded_model_predicts_the_same_bits(name, fitted, frame, path):
    model = fitted[name]
    other = saved(model, path)
    assert type(other) is type(model)
    pd.testing.assert_frame_equal(other.predict(), model.predict(), check_exact=True)
    pd.testing.assert_frame_equal(
        other.predict(frame.iloc[:40]), model.predict(frame.iloc[:40]), check_exact=True
    )
    assert other.predict().index[0] == ROWS[-1] + pd.Timedelta("1h")
    assert other.score(frame) == model.score(frame)
    assert settings(other) == settings(model)
    of_this_process = {"device", "_training_times"}
    assert vars(other).keys() - of_this_process == vars(model).keys() - of_this_process


@pytest.mark.parametrize("name", crossed(saved_names()))
def test_saved_loaded_and_saved_again_are_equal_bytes(name, fitted, path):
    other = saved(fitted[name], path)
    first = path.read_bytes()
    other.save(path)
    assert path.read_bytes() == first


@pytest.mark.parametrize("name", crossed(network_names()))
def test_a_loaded_model_learns_on_as_the_original_does(name, frame, path):
    model = small(name, warm_start=True).fit(frame, ADJACENCY)
    other = saved(model, path)
    model.fit(frame, ADJACENCY)
    other.fit(frame, ADJACENCY)
    weights, others = model.network_.state_dict(), other.network_.state_dict()
    assert all(torch.equal(weights[key], others[key]) for key in weights)
    timeless = [history.drop(columns="seconds") for history in (model.history_, other.history_)]
    pd.testing.assert_frame_equal(*timeless, check_exact=True)
    assert len(other.history_) == 2 * small(name).max_epochs
    assert other.best_epoch_ == model.best_epoch_


@pytest.mark.parametrize("name", network_names())
def test_copies_and_warm_starts_keep_what_must_not_decay(name, fitted, frame, path):
    def undecayed(model):
        return [key for key, p in model.network_.named_parameters() if getattr(p, "_no_weight_decay", False)]

    marked = undecayed(fitted[name])
    assert marked or "d_state" not in fitted[name].get_params()
    other = saved(fitted[name], path)
    assert undecayed(other) == marked
    assert undecayed(other.set_params(warm_start=True).fit(frame, ADJACENCY)) == marked


@pytest.mark.parametrize("name", crossed(saved_names()))
def test_a_loaded_model_goes_on_as_any_other(name, fitted, frame, path):
    later = frame.set_axis(ROWS + pd.Timedelta("80h"))
    other = saved(fitted[name], path)
    original = pickle.loads(pickle.dumps(fitted[name]))
    pd.testing.assert_frame_equal(other.update(later).predict(), original.update(later).predict())
    unfitted = clone(other)
    assert not hasattr(unfitted, "context_")
    assert unfitted.fit(frame).predict().shape == (2, 3)
    with pytest.raises(DataError, match="so that the next one"):
        other.update(frame)


@pytest.mark.parametrize(
    "container", ["array", "tensor", "3-D", "long", "periods", "zone", "rows", "missing", "xarray"]
)
def test_every_container_and_index(container, frame, path):
    if container == "xarray":
        pytest.importorskip("xarray")
    X = {
        "array": lambda: frame.to_numpy(),
        "tensor": lambda: torch.tensor(frame.to_numpy()),
        "3-D": lambda: np.stack([frame, frame * 2], -1),
        "long": lambda: frame.reset_index().melt("time", var_name="node"),
        "periods": lambda: frame.set_axis(pd.period_range("2024-01", periods=80, freq="M")),
        "zone": lambda: frame.tz_localize("Europe/Berlin"),
        "rows": lambda: frame.reset_index(drop=True),
        "missing": lambda: frame.mask(np.random.default_rng(1).random(frame.shape) < 0.2).iloc[::2],
        "xarray": lambda: frame.rename_axis(columns="node").stack().to_xarray(),  # noqa: PD013
    }[container]()
    for name in ("STM3Forecaster", "SeasonalNaive"):
        model = small(name).fit(X)
        forecast, other = model.predict(), saved(model, path).predict()
        assert type(other) is type(forecast)
        if isinstance(forecast, pd.DataFrame):
            pd.testing.assert_frame_equal(other, forecast, check_exact=True)
        elif container == "xarray":
            assert other.identical(forecast)
        else:
            np.testing.assert_array_equal(other, forecast)


def test_parameters_of_every_kind(frame, path):
    model = small(
        "STM3Forecaster", scales=(np.int64(1), 3), target=None, random_state=np.random.RandomState(3),
        time_features=["day_of_week"], learning_rate=np.float64(0.01), device="cpu", adj=sparse.csr_array(ADJACENCY),
    ).fit(frame)  # fmt: skip
    other = saved(model, path)
    assert other.scales == (1, 3)
    assert isinstance(other.adj, stmest.Graph)
    assert other.adj == model.given_graph_
    assert other.device == "auto"
    pd.testing.assert_frame_equal(other.predict(), model.predict())
    # a number, and the generator is as it was
    assert other.random_state == model.random_state.randint(2**31 - 1)
    assert clone(other).fit(frame).given_graph_ == model.given_graph_


def test_names_of_nodes_that_are_no_text(frame, path):
    for nodes in (
        [1, 2, 3],
        [(0, 1), (0, 2), (1, 0)],
        [1.5, 2.5, 3.5],
        list(pd.date_range("2024", periods=3)),
    ):
        columns = pd.Index(nodes, tupleize_cols=False)
        model = small("LastValue").fit(frame.set_axis(columns, axis=1))
        assert saved(model, path).nodes_ == list(columns)


def test_loading_in_another_process_and_on_a_named_device(fitted, path):
    model = fitted["STM3Forecaster"]
    model.save(path)
    code = "import sys, stmest; sys.stdout.write(stmest.load(sys.argv[1], device='cpu').predict().to_json(double_precision=15))"
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout == model.predict().to_json(double_precision=15)
    loaded = stmest.load(path, device=torch.device("cpu"))
    assert loaded.device_ == torch.device("cpu")
    with pytest.raises(DeviceError, match="cuda:9"):
        stmest.load(path, device="cuda:9")


def test_the_state_of_the_model_is_not_touched_by_save(fitted, path):
    model = fitted["STM3Forecaster"]
    before = dict(vars(model))
    model.save(path)
    assert all(vars(model)[key] is before[key] for key in before)
    assert vars(model).keys() == before.keys()


# ---------------------------------------------------------------- what cannot be saved


class Nothing(Callback):
    """A callback of a user."""


def test_callbacks_are_refused_with_the_way_out(frame, path):
    model = small("STM3Forecaster", callbacks=[Nothing()]).fit(frame)
    with pytest.raises(ModelFileError, match=r"\['Nothing'\] hold code.*set_params\(callbacks=None\)"):
        model.save(path)
    assert not path.exists()
    assert saved(model.set_params(callbacks=None), path).predict().equals(model.predict())


def test_foreign_and_unfitted_forecasters(frame, path):
    with pytest.raises(ModelFileError, match="TinyForecaster is no registered forecaster"):
        TinyForecaster(random_state=0).fit(frame).save(path)
    with pytest.raises(NotFittedError):
        small("LastValue").save(path)
    impostor = type("LastValue", (stmest.LastValue,), {})
    with pytest.raises(ModelFileError, match="no registered forecaster"):
        impostor().fit(frame).save(path)


def test_parameters_that_no_longer_describe_the_fit(fitted, path):
    for name in ("STM3Forecaster", "RidgeForecaster"):
        model = pickle.loads(pickle.dumps(fitted[name])).set_params(input_length=5)
        with pytest.raises(ModelFileError, match="fitted with input_length=4, but its parameter says 5"):
            model.save(path)


# ---------------------------------------------------------------- files that mean harm: a right checksum, a wrong content


def forged(model, path, change):
    """Save, change document or arrays, and write them again as if nothing had happened."""
    model.save(path)
    document, arrays = read_tensor_file(path)
    change(document, arrays)
    write_tensor_file(
        path, {key: document[key] for key in document if key not in ("format", "sha256")}, arrays
    )
    return path


def _set(place, value):
    def change(document, arrays):
        *path, last = place.split("/")
        for key in path:
            document = document[key]
        document[last] = value

    return change


def _array(name, value):
    return lambda document, arrays: arrays.update({name: value})


FORGERIES = {
    "no class": (lambda document, arrays: document.pop("class"), "KeyError"),
    "a class of another module": (_set("class", "os.system"), "names the class 'os.system'; known are"),
    "a list as class": (_set("class", ["LastValue"]), "."),
    "another forecaster": (_set("class", "LastValue"), "LastValue"),
    "an unknown parameter": (_set("parameters/color", 1), "color"),
    "a wrong parameter": (_set("parameters/horizon", -1), "horizon"),
    "a parameter of a wrong type": (_set("parameters/horizon", "2"), "horizon"),
    "a longer horizon": (_set("parameters/horizon", 3), "fitted with horizon=2"),
    "a longer look-back": (_set("parameters/input_length", 9), "."),
    "an immense width": (_set("parameters/d_model", 10**9), "far larger"),
    "immensely many layers": (_set("parameters/n_layers", 10**9), "n_layers"),
    "more nodes": (_set("state/n_features_in_", 4), "."),
    "immensely many nodes": (_set("state/n_features_in_", 10**12), "."),
    "nodes that are no number": (_set("state/n_features_in_", "3"), "."),
    "too few names": (_set("state/predictor_/spec/nodes", ["a"]), "names 1 nodes"),
    "targets outside": (_set("state/predictor_/target", [7]), "target"),
    "no observations": (_set("state/context_", 3), "context_ is no Panel"),
    "fewer observations": (_array("context_.values", np.zeros((3, 3, 1))), "context_ has shape"),
    "a predictor of another kind": (_set("state/predictor_", "x"), "no Predictor"),
    "a graph in the place of the rule": (_set("state/predictor_/rule", 3), "."),
    "a scaler of other nodes": (_array("predictor_.rule.encoding.scaler.scale", np.zeros((2, 1))), "scaler_.scale"),
    "a method's name": (_set("state/predict", 3), "no fitted attribute"),
    "a code object": (_set("state/history_", {"kind": "function", "code": "print(1)"}), "unknown kind"),
    "state that is a list": (_set("state", []), "."),
    "weights that are a list": (_set("state/weights_", []), "."),
    "no state": (lambda document, arrays: document.pop("state"), "KeyError"),
    "a missing array": (lambda document, arrays: arrays.pop("context_.values"), "context_.values"),
    "edges that lead nowhere": (_array("given_graph_.target", np.array([7, 2])), "."),
    "edges of negative length": (_array("given_graph_.first_edge", np.array([0, 5, 2, 2])), "."),
    "a residual weight above 1": (_set("state/predictor_/rule/residual_weights/items", [2.0]), "between 0 and 1"),
    "a residual weight below 0": (_set("state/calibration_/predictor/rule/residual_weights/items", [-0.5]), "between 0 and 1"),
    "a residual weight that is none": (
        _set("state/predictor_/rule/residual_weights/items", [{"kind": "float", "value": "nan"}]), "between 0 and 1"
    ),
    "a residual weight that is text": (_set("state/predictor_/rule/residual_weights/items", ["1"]), "of type tuple"),
    "an unknown history": (_set("state/predictor_/history/items", ["year"]), "looks up"),
    "a history that the network does not see": (_set("state/predictor_/history/items", ["day"]), "."),
    "a long reach": (_set("state/predictor_/reach", 10**9), "looks back by 1000000000"),
    "a negative reach": (_set("state/predictor_/reach", -1), "looks back by -1"),
    "batches of nothing": (_set("state/predictor_/batch_size", 0), "batch_size is 0"),
    "targets of the network outside": (_set("state/predictor_/rule/encoding/target", [2]), "target, n_history"),
    "a clock that is text": (_set("state/context_/clock", "1"), "Panel.clock is of type str"),
    "another frequency": (_set("state/context_/freq", "x"), "."),
    "a frequency that is a number": (_set("state/predictor_/spec/freq", 0.5), "frequency 0.5"),
    "a frequency of another kind": (_set("state/context_/freq", [1]), "frequency"),
    "names that are lists": (_set("state/predictor_/spec/nodes", [["a"], "b", "c"]), "unhashable"),
    "names of no nodes": (_set("state/context_/nodes", []), "last time steps have"),
    "two predictors of different kinds": (_set("state/calibration_/predictor/rule/encoding/has_gaps", True), "."),
    "a random generator with a position beyond its state": (
        _set("parameters/random_state", {
            "kind": "RandomState", "keys": {"kind": "array", "name": "context_.values"}, "position": 10**6, "has_gauss": 0,
            "gauss": 0.0,
        }), "unknown kind 'RandomState'"
    ),
    "text of an immense width": (
        _set("state/history_", {"kind": "other array", "dtype": "<U100000000", "shape": [2], "values": ["a", "b"]}), "contradicts"
    ),
    "edges beyond counting": (_array("given_graph_.first_edge", np.array([0, 10**12, 10**12, 10**12])), "contradicts itself"),
    "times that are too few": (_array("context_.index.values", np.zeros(2, dtype=np.int64)), "."),
}  # fmt: skip


@pytest.mark.parametrize("forgery", list(FORGERIES))
def test_forged_files_end_in_one_kind_of_error(forgery, fitted, path):
    change, words = FORGERIES[forgery]
    with pytest.raises(ModelFileError, match=words):
        stmest.load(forged(fitted["STM3Forecaster"], path, change))


def test_what_belongs_to_a_machine_is_not_taken_from_a_file(fitted, path, tmp_path):
    def change(document, arrays):
        document["parameters"] |= {"checkpoint_dir": str(tmp_path / "theirs"), "device": "cuda:7"}

    model = stmest.load(forged(fitted["STM3Forecaster"], path, change), device="cpu")
    assert model.checkpoint_dir is None
    assert model.device == "cpu"

    def nested(document, arrays):
        for part in ("parameters", "state"):
            for key in ("forecasters", "named_estimators_"):
                for member in document[part].get(key, {}).get("documents", []):
                    member["parameters"] |= {"checkpoint_dir": str(tmp_path / "theirs")}

    X = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 3)), columns=NODES)
    members = [("a", small("DLinearForecaster")), ("b", small("LastValue"))]
    ensemble = stmest.EnsembleForecaster(members, weights=None).fit(X)

    def without_last(document, arrays):
        nested(document, arrays)
        for key, part in (("forecasters", "parameters"), ("named_estimators_", "state")):
            document[part][key]["documents"][1]["parameters"].pop("checkpoint_dir")

    loaded = stmest.load(forged(ensemble, path, without_last))
    assert loaded.forecasters[0][1].checkpoint_dir is None
    assert loaded.estimators_[0].checkpoint_dir is None


def test_the_members_of_an_ensemble_are_bounded_as_a_whole(path, monkeypatch):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 3)), columns=NODES)
    members = [(name, small("DLinearForecaster")) for name in "abcd"]
    ensemble = stmest.EnsembleForecaster(members, weights=None).fit(X)
    assert len(saved(ensemble, path).estimators_) == 4

    def shared(document, arrays):  # one set of weights in the file, and any number of networks
        part = document["state"]["named_estimators_"]
        part["documents"] = [part["documents"][0]] * 4

    with pytest.raises(ModelFileError, match="refer to the same weights"):
        stmest.load(forged(ensemble, path, shared))
    # what each member may need beside its weights is not granted to each
    monkeypatch.setattr("stmest.forecasters.network_budget._SPARE_NUMBERS", 0)
    monkeypatch.setattr("stmest.forecasters.network_budget._NUMBERS_PER_WEIGHT", 0)
    with pytest.raises(ModelFileError, match="far larger"):
        stmest.load(path_of(ensemble, path))


def path_of(model, path):
    model.save(path)
    return path


def test_weights_of_an_ensemble_are_shares(path):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 3)), columns=NODES)
    ensemble = stmest.EnsembleForecaster([("a", small("LastValue")), ("b", small("RidgeForecaster"))]).fit(X)
    for wrong in ([0.5, 0.6], [2.0, -1.0], [np.nan, 1.0]):
        with pytest.raises(ModelFileError, match=r"weights_ are"):
            stmest.load(forged(ensemble, path, _array("predictor_.weights", np.array(wrong))))


def test_weights_of_another_shape_dtype_or_name(fitted, path):
    def weight(arrays):
        # safetensors reads arrays in another order every time, and a last axis of length 1 cannot be cut to 1
        return min(name for name in arrays if name.startswith("weights_") and arrays[name].shape[-1] > 1)

    def shape(document, arrays):
        arrays[weight(arrays)] = arrays[weight(arrays)][..., :1]

    def dtype(document, arrays):
        arrays[weight(arrays)] = arrays[weight(arrays)].astype(np.float64)

    def name(document, arrays):
        document["state"]["weights_"][0]["keys"][0] = "other"

    for change in (shape, dtype, name):
        with pytest.raises(ModelFileError, match=r"size mismatch|dtype|Missing key"):
            stmest.load(forged(fitted["STMambaForecaster"], path, change))


def test_ridge_of_another_horizon(fitted, path):
    with pytest.raises(ModelFileError, match="fitted with horizon=2, but its parameter says 5"):
        stmest.load(forged(fitted["RidgeForecaster"], path, _set("parameters/horizon", 5)))


def test_the_limit_does_not_stop_large_graphs(path):
    """Many nodes and few weights: what is built beside the weights grows with the square of the nodes."""
    X = np.random.default_rng(0).normal(size=(30, 700))
    for adj in (None, np.eye(700)):
        model = small("STMambaForecaster", max_epochs=1, n_heads=1).fit(X, adj=adj)
        np.testing.assert_array_equal(saved(model, path).predict(), model.predict())


# ---------------------------------------------------------------- pickles


@pytest.mark.parametrize("name", crossed(names()))
@pytest.mark.parametrize("dump", [pickle.dumps, "joblib"])
def test_pickles_hold_no_module(name, dump, fitted, path):
    if dump == "joblib":
        joblib.dump(fitted[name], path)
        content, other = path.read_bytes(), joblib.load(path)
    else:
        content = dump(fitted[name])
        other = pickle.loads(content)
        # with protocol 4 and later a class is named by the two strings before STACK_GLOBAL
        words = {argument for _, argument, _ in pickletools.genops(content) if isinstance(argument, str)}
        foreign = [
            word for word in words if word.startswith(("torch", "skorch", "stmest.networks", "stmest.layers"))
        ]
        assert foreign == []
    assert b"torch.nn" not in content
    assert b"skorch" not in content
    pd.testing.assert_frame_equal(other.predict(), fitted[name].predict(), check_exact=True)


def test_forecasters_of_long_tables_and_xarray_can_be_pickled(frame):
    long = frame.reset_index().melt("time", var_name="node")
    model = small("LastValue").fit(long)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(model)).predict(), model.predict())
    pytest.importorskip("xarray")
    array = frame.rename_axis(columns="node").stack().to_xarray()  # noqa: PD013
    model = small("LastValue").fit(array)
    assert pickle.loads(pickle.dumps(model)).predict().identical(model.predict())


def test_the_document_can_be_read_by_hand(fitted, path):
    fitted["STM3Forecaster"].save(path)
    document, _ = read_tensor_file(path)
    assert document["class"] == "STM3Forecaster"
    assert document["parameters"]["horizon"] == 2
    assert document["versions"]["torch"]
    assert document["state"]["predictor_"]["spec"]["nodes"] == NODES
    assert "device" not in document["parameters"]
    assert json.dumps(document)
