"""What scikit-learn's common checks cannot expect of a forecaster, with the reasons."""

from __future__ import annotations

from typing import Any


def expected_failures(estimator: Any) -> dict[str, str]:
    """The checks that suppose independent rows; in a forecaster rows are time steps."""
    return {
        "check_methods_sample_order_invariance": "rows are time steps: their order matters",
        "check_methods_subset_invariance": "rows are time steps: a forecast depends on all of the look-back",
    }


def without_target(estimator: Any) -> Any:
    """A copy that ignores y, which scikit-learn's checks give to every estimator and forecasters refuse."""
    kind = type(estimator)

    def fit(self, X, y=None, adj=None):
        return kind.fit(self, X, adj=adj)

    def score(self, X, y=None):
        return kind.score(self, X)

    made = type(
        kind.__name__, (kind,), {"fit": fit, "score": score, "__module__": __name__, "__doc__": kind.__doc__}
    )
    globals()[kind.__name__] = made  # so that it can be pickled
    return made(**estimator.get_params(deep=False))
