"""Constructors and docstrings of the sktime forecasters, taken from the forecasters that they compose.

sktime reads the parameters of an estimator from the signature of its constructor. They are declared once, beside the
scikit-learn-style forecaster; `compose` gives them to the sktime class, less those that sktime has another way for.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from ..forecasters.parameter_names import explain_unknown

__all__ = ["compose"]

# y says what is forecast, and fit always begins anew (pretrain and update go on)
_WITHOUT = ("target", "warm_start")

_ADJ_DOC = """\
adj : array-like, DataFrame, sparse matrix, networkx graph, torch_geometric Data, tuple or Graph, optional
    Weighted adjacency; ``adj[i, j]`` is the weight of the edge from node i to node j. A DataFrame or Graph with names meets the
    nodes by name, and may have more of them.
"""
_HORIZON_DOC = """\
horizon : int or None, default=None
    Steps that are forecast at once; later ones are forecast recursively. None takes the largest step of the `fh` that `fit`
    is given, {default} where it is given none.
"""


def compose(cls: type, composed: type, more: dict[str, tuple[Any, str]]) -> None:
    """Give an sktime class the constructor of a forecaster, and a docstring with its parameters.

    Parameters
    ----------
    cls : type
        Class derived from sktime's BaseForecaster; the mark ``{parameters}`` in its docstring is filled.
    composed : type
        The scikit-learn-style forecaster.
    more : dict of str to (default, documentation)
        Parameters of the sktime class alone, which follow those of the forecaster.
    """
    keyword = inspect.Parameter.KEYWORD_ONLY
    theirs = inspect.signature(composed).parameters
    defaults = {name: p.default for name, p in theirs.items() if name not in _WITHOUT}
    defaults |= {"horizon": None} | {name: default for name, (default, _) in more.items()}
    required = [name for name, default in defaults.items() if default is inspect.Parameter.empty]

    def __init__(self: Any, **parameters: Any) -> None:
        unknown = sorted(set(parameters) - set(defaults))
        if unknown:
            raise TypeError(explain_unknown(cls.__name__, unknown[0], defaults))
        missing = [name for name in required if name not in parameters]
        if missing:
            raise TypeError(f"{cls.__name__} needs the parameter {missing[0]!r}.")
        for name, default in defaults.items():
            setattr(self, name, parameters.get(name, default))
        super(cls, self).__init__()  # type: ignore[arg-type]

    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    listed = [inspect.Parameter(name, keyword, default=default) for name, default in defaults.items()]
    __init__.__signature__ = inspect.Signature([own, *listed])  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    cls.__init__ = __init__  # type: ignore[misc]
    entries = {name: f"{name}\n" for name in defaults} | _parameter_docs(composed)
    horizon = theirs["horizon"].default if "horizon" in theirs else "that of the members"
    entries |= {"adj": _ADJ_DOC, "horizon": _HORIZON_DOC.format(default=horizon)}
    entries |= {name: text for name, (_, text) in more.items()}
    text = "".join(
        dict.fromkeys(entries[name] for name in defaults)
    ).rstrip()  # some entries describe two parameters
    cls.__doc__ = inspect.cleandoc(cls.__doc__ or "").replace("{parameters}", text)


def _parameter_docs(composed: type) -> dict[str, str]:
    """Entries of the section ``Parameters`` of a numpydoc docstring, by name."""
    doc = inspect.cleandoc(composed.__doc__ or "")
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", doc, flags=re.MULTILINE | re.DOTALL)
    starts = r"^(?=\w+(?:, \w+)* : )"  # an entry begins at the margin
    texts = re.split(starts, section.group(1).rstrip() + "\n", flags=re.MULTILINE)[1:] if section else []
    return {name: text for text in texts for name in text.split(" :")[0].split(", ")}
