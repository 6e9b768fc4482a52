"""The simulated flow: exact solutions, conservation, refinement, seeds and the cache."""

from __future__ import annotations

import numpy as np
import pytest

from stmest.datasets.navier_stokes import evolve_vorticity, make_navier_stokes, velocity
from stmest.exceptions import DeviceError, ParameterError

X, Y = np.meshgrid(np.arange(32) / 32, np.arange(32) / 32)


def flows(**parameters):
    small = {
        "n_trajectories": 2,
        "resolution": 32,
        "n_steps": 3,
        "refinement": 1,
        "device": "cpu",
        "random_state": 0,
    }
    return make_navier_stokes(**{**small, **parameters})


def enstrophy(w):
    return (w**2).mean(axis=(-2, -1)) / 2


def energy(w):
    u, v = velocity(w)
    return (u**2 + v**2).mean(axis=(-2, -1)) / 2


def test_velocity_of_a_known_flow():
    u, v = np.sin(2 * np.pi * Y), np.cos(4 * np.pi * X)
    vorticity = -4 * np.pi * np.sin(4 * np.pi * X) - 2 * np.pi * np.cos(2 * np.pi * Y)  # dv/dx - du/dy
    found = velocity(vorticity)
    np.testing.assert_allclose(found[0], u, atol=1e-12)
    np.testing.assert_allclose(found[1], v, atol=1e-12)


def test_the_flow_is_free_of_divergence():
    u, v = velocity(flows()[..., 0])
    waves = 2j * np.pi * np.fft.fftfreq(32, 1 / 32)
    divergence = np.fft.fft2(u) * waves[None, :] + np.fft.fft2(v) * waves[:, None]
    divergence[..., 16, :] = divergence[..., :, 16] = 0  # the highest wave has no derivative on its points
    assert np.abs(np.fft.ifft2(divergence)).max() < 1e-6 * np.abs(flows()).max()


def test_taylors_vortices_decay_as_they_must():
    start = np.cos(2 * np.pi * X) * np.cos(2 * np.pi * Y)
    out = evolve_vorticity(start[None], 1e-2, 3, interval=0.5, device="cpu")
    for step in range(3):
        decay = np.exp(-2 * (2 * np.pi) ** 2 * 1e-2 * 0.5 * (step + 1))
        np.testing.assert_allclose(out[0, step], start * decay, atol=1e-10)


def test_a_moving_solution():
    """A vortex sheet of one wave number, tilted: advection must cancel, and a uniform rotation of phase must not appear."""
    start = np.sin(2 * np.pi * (2 * X + Y)) + 0.5 * np.cos(2 * np.pi * (X - 2 * Y))  # both of the same |k|
    out = evolve_vorticity(start[None], 0.0, 1, device="cpu")
    np.testing.assert_allclose(out[0, 0], start, atol=1e-10)


def test_without_viscosity_and_force_energy_and_enstrophy_are_kept():
    start = flows(n_steps=1)[:, 0, ..., 0].astype(float)
    start = evolve_vorticity(start, 0.0, 1, interval=1e-6, device="cpu")[:, 0]  # only the waves that are kept
    out = evolve_vorticity(start, 0.0, 4, device="cpu")
    assert np.abs(out[:, -1] - start).max() > 0.05  # it does move
    np.testing.assert_allclose(energy(out), np.repeat(energy(start)[:, None], 4, 1), rtol=1e-5)
    np.testing.assert_allclose(enstrophy(out), np.repeat(enstrophy(start)[:, None], 4, 1), rtol=1e-4)


def test_viscosity_takes_energy_at_the_rate_of_the_enstrophy():
    """dE/dt = -2 nu * enstrophy, and enstrophy itself can only fall without a force."""
    nu, interval = 1e-3, 0.05
    start = flows(n_steps=1)[:, 0, ..., 0].astype(float)
    out = evolve_vorticity(start, nu, 20, interval=interval, device="cpu")
    e, z = energy(out), enstrophy(out)
    assert (np.diff(e) < 0).all()
    assert (np.diff(z) < 0).all()
    lost = -2 * nu * (z[:, 1:] + z[:, :-1]) / 2 * interval
    np.testing.assert_allclose(np.diff(e), lost, rtol=2e-3)


def test_the_force_drives_the_flow():
    out = evolve_vorticity(np.zeros((1, 32, 32)), 1e-3, 2, forcing=0.1, device="cpu")
    angle = 2 * np.pi * (X + Y)
    rate = 1e-3 * 8 * np.pi**2  # the force has one wave number: advection cancels
    expected = 0.1 * (np.sin(angle) + np.cos(angle)) * (1 - np.exp(-rate)) / rate
    np.testing.assert_allclose(out[0, 0], expected, atol=1e-7)


def test_a_finer_grid_and_a_finer_step_change_less_and_less():
    """The same flows on 32, 64 and 96 points; nu is large enough for the coarsest to see most of it."""
    flow = {"viscosity": 1e-3, "n_steps": 6, "n_trajectories": 1}
    coarse, middle, fine = (flows(**flow, refinement=r)[0, -1] for r in (1, 2, 3))
    errors = [np.abs(field - fine).max() / np.abs(fine).max() for field in (coarse, middle)]
    assert errors[0] < 1e-2
    assert errors[1] < errors[0] / 50
    start = 5 * coarse[None, ..., 0].astype(float)
    steps = [evolve_vorticity(start, 1e-3, 1, time_step=h, device="cpu") for h in (1 / 10, 1 / 20, 1 / 100)]
    errors = [np.abs(field - steps[2]).max() for field in steps[:2]]
    assert errors[1] < errors[0] / 10  # fourth order: a sixteenth


def test_seeds_and_batches():
    X = flows(n_trajectories=3)
    assert X.dtype == np.float32
    np.testing.assert_array_equal(X, flows(n_trajectories=3))
    np.testing.assert_allclose(X[:2], flows(n_trajectories=2, batch_size=1), atol=1e-6)
    assert np.abs(X - flows(n_trajectories=3, random_state=1)).max() > 0.1
    assert np.abs(X[0] - X[1]).max() > 0.1
    np.testing.assert_allclose(X.mean(axis=(2, 3)), 0, atol=1e-6)


def test_the_result_is_kept_in_the_cache(tmp_path):
    X = flows(cache=tmp_path / "new")
    (path,) = (tmp_path / "new").iterdir()
    np.save(path, X + 1)
    np.testing.assert_array_equal(flows(cache=tmp_path / "new"), X + 1)
    np.testing.assert_array_equal(flows(cache=tmp_path / "new", batch_size=1), X + 1)
    flows(cache=tmp_path / "new", viscosity=1e-4)
    flows(cache=tmp_path / "new", random_state=1)
    assert len(list((tmp_path / "new").iterdir())) == 3
    with pytest.raises(ParameterError, match="random_state=None; needed: an integer"):
        flows(cache=tmp_path, random_state=None)


def test_progress_is_shown_only_when_asked_for(capsys):
    flows()
    assert capsys.readouterr().out == ""
    flows(verbose=1)
    assert "6/6 snapshots" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"n_trajectories": 0}, "n_trajectories=0"),
        ({"n_steps": 1.5}, "n_steps=1.5"),
        ({"interval": 0}, "interval=0"),
        ({"viscosity": -1}, "viscosity=-1"),
        ({"resolution": 16}, "at least 30 points"),
        ({"time_step": 1.0, "forcing": 5.0}, "time_step=1 is too long"),
    ],
)
def test_what_cannot_be_is_refused(parameters, words):
    with pytest.raises(ParameterError, match=words):
        flows(**parameters)


def test_devices_that_are_not_there():
    with pytest.raises(DeviceError):
        flows(device="cuda:99")
