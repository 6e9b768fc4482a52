"""Names of nodes: unique, shown in messages, and found again although files spell them in several ways."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence

from ..exceptions import GraphError

__all__ = ["checked_names", "name_as_text", "places_of", "positions_of", "show_names"]

_SHOWN_NAMES = 5


def show_names(names: Sequence[Hashable]) -> str:
    """Return the first few names as a list literal, for messages."""
    shown = ", ".join(repr(getattr(name, "item", lambda name=name: name)()) for name in names[:_SHOWN_NAMES])
    return f"[{shown}, ...]" if len(names) > _SHOWN_NAMES else f"[{shown}]"


def checked_names(nodes: Iterable[Hashable] | None, n_nodes: int) -> list[Hashable] | None:
    """Return the names as a list after checking that there is one unique name per node."""
    if nodes is None:
        return None
    names = list(nodes)
    if len(names) != n_nodes:
        raise GraphError(
            f"{len(names)} node names {show_names(names)} were given for a graph of {n_nodes} nodes; "
            "exactly one name per node is needed."
        )
    seen: set[Hashable] = set()
    repeated = [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
    if repeated:
        raise GraphError(
            f"Node names must be unique, but {show_names(repeated)} occur(s) more than once among {n_nodes} "
            "names. Rename or drop the repeated nodes."
        )
    return names


def positions_of(wanted: Sequence[Hashable], known: Sequence[Hashable]) -> list[int] | None:
    """Return where each wanted name stands in ``known``, or None if one is missing or two are the same; see `places_of`."""
    found = places_of(wanted, known)
    complete = [place for place in found if place is not None]
    return complete if len(set(complete)) == len(found) else None


def places_of(wanted: Iterable[Hashable], known: Sequence[Hashable]) -> list[int | None]:
    """Return where each wanted name stands in ``known``, None where it does not.

    The same name comes first, then the same text, then the same number. A file often turns 7 into ``"7"``, ``"7.0"`` or
    ``"007"`` on one side only. What fits two names fits none.
    """
    levels: tuple[Callable[[Hashable], Hashable], ...] = (_itself, str, name_as_text, _name_as_number)
    tables = []
    for level in levels:
        keys = [level(name) for name in known]
        counts = Counter(keys)
        tables.append({key: i for i, key in enumerate(keys) if counts[key] == 1})
    return [
        next(
            (table[level(name)] for level, table in zip(levels, tables, strict=True) if level(name) in table),
            None,
        )
        for name in wanted
    ]


def _itself(name: Hashable) -> Hashable:
    return name


def name_as_text(name: Hashable) -> str:
    """Return a name as text, without blanks around it, and without the fraction ``.0`` of a whole number."""
    text = (name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)).strip()
    return text.split(".")[0] if _WHOLE_WITH_POINT.fullmatch(text) else text


def _name_as_number(name: Hashable) -> str:
    """Return a name as text, and one that is a whole number without zeros in front or an exponent."""
    text = name_as_text(name)
    if _WHOLE.fullmatch(text):
        return str(int(text))
    if _WITH_EXPONENT.fullmatch(text) and float(text).is_integer() and abs(float(text)) < 2**53:
        return str(int(float(text)))
    return text


_WHOLE = re.compile(r"[+-]?[0-9]{1,300}")
_WHOLE_WITH_POINT = re.compile(r"[+-]?[0-9]+\.0*")
_WITH_EXPONENT = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]{1,3}")
