"""What scikit-learn's common checks cannot expect of a forecaster, with the reasons."""

from __future__ import annotations

from typing import Any


def expected_failures(estimator: Any) -> dict[str, str]:
    """The checks that suppose independent rows; in a forecaster rows are time steps."""
    return {
        "check_methods_sample_order_invariance": "rows are time steps: their order matters",
        "check_methods_subset_invariance": "rows are time steps: a forecast depends on all of the look-back",
    }
