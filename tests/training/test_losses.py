"""Masked losses agree with plain loops and ignore what is missing."""

from __future__ import annotations

import pytest
import torch

from stmest.forecasters.parameters import TrainingParameters
from stmest.training.losses import LOSSES, MaskedLoss


def test_forecasters_offer_all_losses():
    (offered,) = TrainingParameters._parameter_constraints["loss"]
    assert offered.options == set(LOSSES)


@pytest.mark.parametrize("kind", LOSSES)
def test_mean_over_the_observed_targets(kind):
    torch.manual_seed(0)
    forecast, truth = torch.randn(2, 3, 4, 1), torch.randn(2, 3, 4, 1)
    truth[0, 1, 2] = torch.nan
    seen = ~truth.isnan()
    expected = LOSSES[kind](forecast[seen], truth[seen])
    torch.testing.assert_close(MaskedLoss(kind)(forecast, truth), expected)


def test_weights_count_errors_in_other_units():
    weight = torch.tensor([[2.0], [0.5]])
    forecast, truth = torch.zeros(1, 1, 2, 1), torch.tensor([[[[3.0], [4.0]]]])
    assert MaskedLoss("mae", weight)(forecast, truth).item() == pytest.approx((6 + 2) / 2)


def test_missing_targets_send_no_gradient():
    forecast = torch.ones(1, 2, 1, 1, requires_grad=True)
    truth = torch.tensor([torch.nan, 3.0]).view(1, 2, 1, 1)
    MaskedLoss("mse")(forecast, truth).backward()
    assert forecast.grad.flatten().tolist() == [0.0, -4.0]


def test_nothing_observed_is_no_loss():
    loss = MaskedLoss()(torch.ones(1, 1, 1, 1, requires_grad=True), torch.full((1, 1, 1, 1), torch.nan))
    assert loss.item() == 0.0
    loss.backward()


@pytest.mark.parametrize("kind", LOSSES)
def test_the_losses_of_windows_add_up_to_that_of_the_batch(kind):
    torch.manual_seed(0)
    forecast, truth = torch.randn(3, 2, 4, 1), torch.randn(3, 2, 4, 1)
    truth[0, 1, 2] = truth[2] = torch.nan
    loss = MaskedLoss(kind, torch.rand(4, 1))
    total, n_observed = loss.by_window(forecast, truth)
    assert n_observed.tolist() == [7, 8, 0]
    assert total[2] == 0
    torch.testing.assert_close(total.sum() / n_observed.sum(), loss(forecast, truth))
