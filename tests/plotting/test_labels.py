"""Labels from users are text wherever they are drawn: no mathematics, no layout, and no label costs a picture or the page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest import LastValue, SeasonalNaive, STM3Forecaster, compare, graph_from_coordinates
from stmest.plotting import (
    EmbeddingDisplay,
    ErrorDisplay,
    FieldDisplay,
    ForecastDisplay,
    GraphDisplay,
    HistoryDisplay,
    RoutingDisplay,
    report_page,
    report_picture,
)
from stmest.plotting._canvas import plain_text, png, shown

HEBREW = "שלום"
NASTY = [
    r"load $\foo$", "A$ and US$", "$", "$$", r"a\$b", r"\frac{", "x_1^2", "_hidden", "<script>alert(1)</script>", "a&b;\"'",
    "%d{}", "", " ", "two\nlines\ttab", "nul\0", "half\ud800", "\u202eturned", HEBREW, "مرحبا", "中文", "😀", b"bytes", ("a", 1),
    "long" * 100,
]  # fmt: skip


def _drawn(figure):
    """All texts of a figure, drawn for real, without a warning that the layout collapsed."""
    figure.set_dpi(30)
    assert png(figure).startswith(b"\x89PNG")
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


@pytest.mark.parametrize(
    "label", [NASTY[0], "_hidden", "", "nul\0", "half\ud800", HEBREW, "中文", "long" * 100], ids=ascii
)
def test_every_display_draws_every_label(label):
    values = np.arange(12.0).reshape(6, 2)
    names = [label, "b"]
    named = {label: values, "other": values + 1}
    title = str(label)
    index = pd.Index(names, dtype=object, tupleize_cols=False)
    table = pd.DataFrame([[0.1, 0.9], [0.8, 0.2]], index=index, columns=index)
    places = np.array([[0.0, 0], [1, 2]])
    displays = [
        ForecastDisplay.from_predictions(
            values, named, node_names=names, unit=title, title=title, intervals={label: (values - 1, values + 1)}
        ),
        ErrorDisplay({label: [1.0, 2]}, {label: [1.0, 2]}, node_names=names, unit=title).plot(title=title),
        GraphDisplay(table, given=graph_from_coordinates(places, k=1, metric="euclidean")).plot(title=title),
        FieldDisplay(values[:, None], values[:, None] + 1, labels=(title, title), unit=title).plot([1], title=title),
        RoutingDisplay(table, [0.5, 0.1]).plot(title=title),
        HistoryDisplay(pd.DataFrame({"epoch": [1], "train_loss": [1.0], "learning_rate": [0.1]})).plot(title=title),
    ]  # fmt: skip
    for display in displays:
        _drawn(display.figure_)


def test_groups_of_embeddings():
    rng = np.random.default_rng(0)
    groups = np.array(["$\\foo$", "_b"] * 10)
    display = EmbeddingDisplay({"$\\bar$": (rng.normal(size=(20, 3)), groups)}, random_state=0).plot(
        title="$"
    )
    labels = [text.get_text() for text in display.axes_[0].get_legend().get_texts()]
    assert labels == [r"\$\bar\$ \$\foo\$", r"\$\bar\$  _b"]
    _drawn(display.figure_)


def test_a_label_is_drawn_as_it_stands():
    import matplotlib.cbook

    for label in NASTY[:8]:
        text = shown(label)
        assert not matplotlib.cbook.is_math_text(text)
        assert text.replace(r"\$", "$").strip() == label.strip()  # as matplotlib draws it
    figure = ForecastDisplay.from_predictions(
        np.ones((2, 1)), {"_mine": np.ones((2, 1))}, node_names=["$x$"]
    ).figure_
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["observed", " _mine"]
    assert figure.axes[0].get_title(loc="left") == r"\$x\$"


def test_text_of_one_line():
    assert plain_text("a\nb\tc\0\ud800\u202ed") == "a b c��d"
    assert plain_text(HEBREW) == f"\u2068{HEBREW}\u2069"
    assert plain_text(b"s\xc3\xa4") == "sä"
    assert len(shown("x" * 500)) == 39
    assert shown("node 17" * 9 + " north").endswith("north")  # the ends of long names differ
    assert shown(HEBREW * 40).count("\u2068") == 1


@pytest.fixture(scope="module")
def report():
    names = [
        *[name for name in NASTY if isinstance(name, str) and name.strip() and "\ud800" not in name],
        "still",
    ]
    rng = np.random.default_rng(0)
    X = pd.DataFrame(10 + rng.normal(size=(120, len(names))), columns=pd.Index(names, dtype=object))
    X["still"] = 1.0
    X[HEBREW] = np.nan
    places = rng.normal(size=(len(names), 2))
    models = {
        r"$\foo$": LastValue(horizon=3),
        "_x" + HEBREW: SeasonalNaive(horizon=3, season=24),
        "long" * 100: STM3Forecaster(
            input_length=6, horizon=3, d_model=4, n_experts=2, max_epochs=1, random_state=0
        ),
    }
    return compare(models, X, graph_from_coordinates(places, metric="euclidean"), unit="$\\bar$ <b>")


@pytest.mark.slow
def test_picture_and_page_of_a_report(report):
    assert all(row.error is None for row in report.rows)
    _drawn(report_picture(report, "$\\foo$\n" * 9).figure_)
    page = report_page(report, title="<i>\ud800\0$\\foo$")
    assert page.encode("utf-8")
    assert "could not be drawn" not in page
    assert page.count("<img") == 3  # what the network learnt, and its training
    assert r"<h1>&lt;i&gt;��$\foo$</h1>" in page
    assert f"\u2068_x{HEBREW}\u2069" in page
    assert f"\u2068{HEBREW}\u2069" in page.split("nodes without any value")[1]
    assert "\u202e" not in page


def test_a_picture_that_fails_leaves_the_page(report, monkeypatch):
    def fails(*args, **options):
        raise RuntimeError("no <ink>")

    monkeypatch.setattr(HistoryDisplay, "from_estimator", fails)
    page = report_page(report)
    assert "This picture could not be drawn: RuntimeError: no &lt;ink&gt;" in page
    assert page.count("<img") == 2
