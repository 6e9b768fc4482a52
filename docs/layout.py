"""Places of the boxes of a layered drawing: rows from top to bottom, and lines that pass between the boxes.

A line over several rows gets a narrow place of its own in each row on its way; lines to the same box share theirs. In each
row the order follows the mean of what a place is connected to, and so do the places, as far as the widths allow.
"""

from __future__ import annotations

import itertools

__all__ = ["Layered"]

_SWEEPS = 200
Place = tuple[str, int]  # name of a box, and the row: its own, or one that the lines to it pass through


class Layered:
    """A drawing of boxes in rows, with lines that lead downwards.

    Parameters
    ----------
    rows : list of list of str
        Names of the boxes, from the top row down.
    lines : dict of str to set of str
        Boxes in lower rows that a box is connected to.
    box, way, gap : int
        Width of a box, of the place of a passing line, and between two of them.

    Attributes
    ----------
    x : dict of (str, int) to float
        Middle of each place: name and row.
    """

    def __init__(
        self, rows: list[list[str]], lines: dict[str, set[str]], box: int, way: int, gap: int
    ) -> None:
        self.row = {name: i for i, row in enumerate(rows) for name in row}
        self._box, self._way, self._gap = box, way, gap
        self._places: list[list[Place]] = [[(name, i) for name in row] for i, row in enumerate(rows)]
        self._joined: dict[Place, list[Place]] = {}
        for name in self.row:
            for target in sorted(lines[name]):
                path = self.path(name, target)
                for upper, lower in itertools.pairwise(path):
                    for a, b in ((upper, lower), (lower, upper)):
                        self._joined.setdefault(a, [])
                        if b not in self._joined[a]:
                            self._joined[a].append(b)
                for place in path[1:-1]:
                    if place not in self._places[place[1]]:
                        self._places[place[1]].append(place)
        self.x: dict[Place, float] = {}
        for row in self._places:
            self._spread(row, dict.fromkeys(row, 0.0))
        for sweep in range(_SWEEPS):
            for row in self._places if sweep % 2 else self._places[::-1]:
                wanted = {place: self._wanted(place) for place in row}
                if sweep < _SWEEPS // 2:
                    row.sort(key=lambda place: round(wanted[place], 3))  # the same on every machine
                self._spread(row, wanted)

    def path(self, name: str, target: str) -> list[Place]:
        """The places from one box down to another."""
        return [(name, self.row[name])] + [
            (target, i) for i in range(self.row[name] + 1, self.row[target] + 1)
        ]

    def _wanted(self, place: Place) -> float:
        joined = self._joined.get(place, [place])
        # a line that only passes by should be straight
        weights = [1 + 7 * (place[0] == other[0] and self._passes(place)) for other in joined]
        return sum(w * self.x[other] for w, other in zip(weights, joined, strict=True)) / sum(weights)

    def _passes(self, place: Place) -> bool:
        return self.row[place[0]] != place[1]

    def _spread(self, row: list[Place], wanted: dict[Place, float]) -> None:
        """Put the places of a row as near to where they are wanted as their widths allow (pool adjacent violators)."""
        offsets, at = [], 0.0
        for i, place in enumerate(row):
            width = self._way if self._passes(place) else self._box
            at += width / 2 + (self._gap if i else 0)
            offsets.append(at)
            at += width / 2
        pools: list[list[float]] = []
        for place, offset in zip(row, offsets, strict=True):
            pools.append([wanted[place] - offset, 1])
            while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
                (a, n), (b, m) = pools[-2:]
                pools[-2:] = [[(a * n + b * m) / (n + m), n + m]]
        shifts = [mean for mean, n in pools for _ in range(int(n))]
        self.x |= {place: shift + offset for place, shift, offset in zip(row, shifts, offsets, strict=True)}
