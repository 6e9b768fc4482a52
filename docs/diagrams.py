"""Draws the diagrams of the networks and of the packages: ``python docs/diagrams.py`` writes ``docs/images/*.svg``.

A diagram is a list of boxes and arrows in plain Python; that of the packages is made from their imports. Nothing is needed but
the standard library, and the same program writes the same bytes.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

import house
from layout import Layered

__all__ = ["DIAGRAMS", "Diagram"]

# Okabe and Ito's colours, lightened: data, space, time, experts and head are told apart with any colour vision
_FILL = {"data": "#f2f2f2", "space": "#cfe5f3", "time": "#fbe0cd", "mix": "#cdebdf", "head": "#f6e3ee"}
_EDGE = {"data": "#555555", "space": "#0072B2", "time": "#D55E00", "mix": "#009E73", "head": "#A8578A"}
_LINE = 18  # pixels from one line of text to the next


class Diagram:
    """Boxes with text, frames around them, and arrows between them.

    Parameters
    ----------
    width, height : int
        Size in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.frames: list[str] = []
        self.parts: list[str] = []

    def box(self, x: int, y: int, width: int, height: int, kind: str, *lines: str) -> None:
        """Draw a box with its left upper corner at (x, y); the first line of its text is bold."""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{_FILL[kind]}" stroke="{_EDGE[kind]}" '
            'stroke-width="1.5"/>'
        )
        top = y + height / 2 - _LINE * (len(lines) - 1) / 2 + 5
        for i, line in enumerate(lines):
            weight = ' font-weight="600"' if i == 0 else ""
            self.parts.append(
                f'<text x="{x + width / 2:g}" y="{top + i * _LINE:g}" text-anchor="middle"{weight}>{escape(line)}</text>'
            )

    def frame(self, x: int, y: int, width: int, height: int, text: str) -> None:
        """Draw a dashed frame behind the boxes, with a text at its right upper corner."""
        self.frames.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="none" stroke="#888888" '
            f'stroke-dasharray="6 4"/><text x="{x + width - 10}" y="{y + 20}" text-anchor="end" fill="#555555">{escape(text)}'
            "</text>"
        )

    def arrow(self, *points: tuple[int, int]) -> None:
        """Draw an arrow along points."""
        path = " ".join(f"{x},{y}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="#333333" stroke-width="1.6" marker-end="url(#head)"/>'
        )

    def note(self, x: int, y: int, text: str) -> None:
        """Write a small text from (x, y) on."""
        self.parts.append(f'<text x="{x}" y="{y}" font-size="12" fill="#555555">{escape(text)}</text>')

    def svg(self) -> str:
        """Return the picture as SVG."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="14">'
        )
        point = (
            '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            'orient="auto-start-reverse"><path d="M 0 0 L 10 5 L 0 10 z" fill="#333333"/></marker></defs>'
        )
        ground = f'<rect width="{self.width}" height="{self.height}" fill="white"/>'
        return "\n".join([head, point, ground, *self.frames, *self.parts, "</svg>\n"])


def stm3() -> Diagram:
    """STM3: scales, then graph convolution and routed experts in turn, then the head."""
    d = Diagram(700, 560)
    d.box(20, 20, 190, 62, "data", "values x", "(b, t, n, f)")
    d.box(255, 20, 190, 62, "data", "node embedding E", "(n, c), learned")
    d.box(490, 20, 190, 62, "data", "calendar", "(b, t + h, c)")
    d.box(20, 125, 190, 62, "time", "lift: k scales", "convolutions over time")
    d.frame(8, 215, 684, 215, "n_layers times")
    d.box(
        40,
        250,
        280,
        76,
        "space",
        "AGCCN over the nodes",
        "graph: learned from E, and given;",
        "weights of each node from its E",
    )
    d.box(380, 250, 280, 76, "space", "attention over the scales", "a scale sees itself and", "coarser ones")
    d.box(40, 352, 180, 62, "mix", "router", "softmax(E W), top k")
    d.box(
        255,
        352,
        405,
        62,
        "time",
        "experts: multiscale Mamba over time",
        "the routed ones and a shared one, per node",
    )
    d.box(
        20,
        465,
        320,
        76,
        "head",
        "head, shared by the nodes",
        "sees the encoded window, x, E,",
        "and the calendar of the last step",
    )
    d.box(420, 465, 260, 76, "data", "forecast", "(b, h, n, f)")
    d.arrow((115, 82), (115, 122))
    d.arrow((585, 82), (585, 105), (180, 105), (180, 122))
    d.arrow((115, 187), (115, 247))
    d.arrow((350, 82), (350, 200), (250, 200), (250, 247))
    d.arrow((350, 200), (30, 200), (30, 383), (37, 383))
    d.arrow((320, 288), (377, 288))
    d.arrow((520, 326), (520, 349))
    d.arrow((220, 383), (252, 383))
    d.arrow((450, 414), (450, 447), (180, 447), (180, 462))
    d.arrow((340, 503), (417, 503))
    d.note(358, 196, "E")
    return d


def stmamba() -> Diagram:
    """STMamba: attention over the nodes of each step and Mamba over the steps of each node, in turn."""
    d = Diagram(700, 470)
    d.box(20, 20, 190, 62, "data", "values x", "(b, t, n, f)")
    d.box(255, 20, 190, 62, "data", "node embedding", "(n, c), learned")
    d.box(490, 20, 190, 62, "data", "graph", "given, learned or full")
    d.box(20, 115, 425, 46, "mix", "lift: values + node + calendar -> d_model")
    d.frame(20, 185, 660, 150, "n_layers times, each with a residual")
    d.box(
        40,
        220,
        280,
        96,
        "space",
        "graph attention",
        "over the nodes of one step:",
        "node i attends to its neighbours j;",
        "steps do not see each other",
    )
    d.box(
        380,
        220,
        280,
        96,
        "time",
        "Mamba",
        "over the steps of one node,",
        "from the past to the present;",
        "nodes do not see each other",
    )
    d.box(
        20,
        375,
        320,
        76,
        "head",
        "head, shared by the nodes",
        "sees all encoded steps, x, the node",
        "and the calendar of the last step",
    )
    d.box(420, 375, 260, 76, "data", "forecast", "(b, h, n, f)")
    d.arrow((115, 82), (115, 112))
    d.arrow((350, 82), (350, 112))
    d.arrow((180, 161), (180, 217))
    d.arrow((585, 82), (585, 172), (260, 172), (260, 217))
    d.arrow((320, 268), (377, 268))
    d.arrow((520, 316), (520, 355), (180, 355), (180, 372))
    d.arrow((340, 413), (417, 413))
    return d


def s2tx() -> Diagram:
    """S2TX: coarse patches of all nodes through Mamba, fine patches of each through attention."""
    d = Diagram(700, 520)
    d.box(220, 20, 260, 62, "data", "window x", "(b, t, n), normalised by itself")
    d.box(20, 125, 310, 62, "time", "coarse patches, all nodes", "one sequence, patch by patch")
    d.box(370, 125, 310, 62, "time", "fine patches, each node", "of the last local_length steps")
    d.box(
        20,
        235,
        310,
        76,
        "mix",
        "bidirectional Mamba",
        "and feed-forward:",
        "the global context of every node",
    )
    d.frame(370, 215, 310, 190, "layers")
    d.box(390, 245, 270, 46, "space", "attention within a window")
    d.box(390, 300, 270, 46, "space", "cross-attention to the context")
    d.box(390, 355, 270, 40, "mix", "feed-forward")
    d.box(20, 435, 310, 62, "data", "forecast", "(b, h, n), normalisation undone")
    d.box(390, 435, 270, 62, "head", "flatten, one linear map")
    d.arrow((280, 82), (175, 122))
    d.arrow((420, 82), (525, 122))
    d.arrow((175, 187), (175, 232))
    d.arrow((525, 187), (525, 242))
    d.arrow((330, 273), (355, 273), (355, 323), (387, 323))
    d.arrow((525, 291), (525, 297))
    d.arrow((525, 346), (525, 352))
    d.arrow((525, 395), (525, 432))
    d.arrow((390, 466), (333, 466))
    return d


def mad() -> Diagram:
    """MAD: reconstruction by Mamba and prediction by a transformer, trained together."""
    d = Diagram(700, 490)
    d.box(220, 20, 260, 62, "data", "fields X", "(b, t, y, x, f), or nodes")
    d.box(20, 125, 310, 62, "space", "encoder of the reconstruction", "frame by frame")
    d.box(370, 125, 310, 62, "space", "encoder of the prediction", "frame by frame")
    d.box(20, 235, 310, 62, "time", "bidirectional Mamba", "refines what was encoded")
    d.box(
        370,
        235,
        310,
        76,
        "mix",
        "transformer blocks",
        "conditioned (adaLN-Zero) on a learned",
        "vector and the calendar",
    )
    d.box(20, 370, 310, 62, "head", "decoder", "gives X back: auxiliary loss")
    d.box(370, 370, 310, 62, "head", "decoder, with a skip", "a residual (b, h, y, x, f)")
    d.arrow((280, 82), (175, 122))
    d.arrow((420, 82), (525, 122))
    d.arrow((175, 187), (175, 232))
    d.arrow((525, 187), (525, 232))
    d.arrow((330, 266), (350, 266), (350, 210), (522, 210))
    d.note(362, 204, "+ alpha * project")
    d.arrow((175, 297), (175, 367))
    d.arrow((525, 311), (525, 367))
    d.note(
        20,
        465,
        "loss: lambda_pred times the error of the forecast, plus lambda_rec times that of the reconstruction",
    )
    return d


def stid() -> Diagram:
    """STID: identities of node and time beside the window, and a perceptron."""
    d = Diagram(700, 350)
    d.box(20, 20, 150, 62, "time", "window", "linear map")
    d.box(190, 20, 150, 62, "space", "node", "learned vector")
    d.box(360, 20, 150, 62, "mix", "time of day", "learned vector")
    d.box(530, 20, 150, 62, "mix", "day of week", "learned vector")
    d.box(190, 130, 320, 46, "data", "side by side (n, b, parts * d)")
    d.box(190, 215, 320, 46, "head", "perceptron layers with residuals")
    d.box(190, 295, 320, 46, "data", "linear map: forecast (b, h, n, f)")
    d.arrow((95, 82), (95, 153), (187, 153))
    d.arrow((265, 82), (265, 127))
    d.arrow((435, 82), (435, 127))
    d.arrow((605, 82), (605, 153), (513, 153))
    d.arrow((350, 176), (350, 212))
    d.arrow((350, 261), (350, 292))
    return d


def season_and_line() -> Diagram:
    """What every network forecaster does around its network."""
    d = Diagram(700, 400)
    d.box(20, 20, 200, 62, "data", "values X", "some missing, any unit")
    d.box(20, 130, 200, 62, "mix", "- seasonal mean", "mean of each node's cycle")
    d.box(270, 130, 200, 62, "space", "scaled, forward-filled", "missing values marked")
    d.box(20, 240, 200, 62, "head", "ridge", "in closed form")
    d.box(270, 240, 200, 62, "time", "network", "starts from a forecast of 0")
    d.box(520, 240, 160, 62, "mix", "+", "the sum of both")
    d.box(520, 130, 160, 62, "mix", "+ seasonal mean", "unit of X again")
    d.box(520, 20, 160, 62, "data", "forecast", "(horizon, node)")
    d.arrow((120, 82), (120, 127))
    d.arrow((220, 161), (267, 161))
    d.arrow((120, 192), (120, 237))
    d.arrow((370, 192), (370, 237))
    d.arrow((470, 271), (517, 271))
    d.arrow((120, 302), (120, 345), (600, 345), (600, 305))
    d.arrow((600, 240), (600, 195))
    d.arrow((600, 130), (600, 85))
    return d


_PACKAGES = {
    "exceptions": "all errors",
    "runtime": "device, seeds, extras",
    "data": "Panel, InputSpec, Split",
    "graphs": "Graph, and all its forms",
    "metrics": "errors, intervals, SSIM",
    "io": "files",
    "linear": "seasonal mean, ridge",
    "ops": "Mamba scan, kernels",
    "layers": "building blocks",
    "networks": "a paper each",
    "storage": "model files",
    "training": "Trainer, checkpoints",
    "prediction": "Predictor, intervals",
    "forecasters": "fit, predict, score",
    "evaluation": "compare",
    "sktime": "the same, for sktime",
    "plotting": "pictures",
    "cli": "stmest report",
    "datasets": "data to try it on",
}


def packages() -> Diagram:
    """The packages in their order, and which of them use which: from the imports."""
    lines = house.without_short_cuts(house.uses(house.modules()))
    rows: list[list[str]] = []
    for floor in house.ORDER:
        rows.append([])
        for package in floor:  # one that uses another of its floor stands above it
            if lines[package] & set(rows[-1]):
                rows.append([])
            rows[-1].append(package)
    for package in house.BESIDE:
        rows[1 + max(i for i, row in enumerate(rows) if lines[package] & set(row))].append(package)
    box, height, step = 160, 46, 80
    layout = Layered(rows[::-1], lines, box, 10, 14)
    left, right = min(layout.x.values()), max(layout.x.values())
    x = {place: round(round(at - left, 3) + box / 2 + 10) for place, at in layout.x.items()}
    d = Diagram(round(round(right - left, 3)) + box + 20, step * len(rows) - step + height + 20)
    for package, row in layout.row.items():
        d.box(
            x[package, row] - box // 2,
            10 + step * row,
            box,
            height,
            _KINDS[package],
            package,
            _PACKAGES[package],
        )
    for package, targets in lines.items():
        for target in sorted(targets):
            points = []
            for place in layout.path(package, target):
                y = 10 + step * place[1]
                points += [(x[place], y), (x[place], y + height)]
            d.arrow(*points[1:-1])
    return d


_KINDS = {
    **dict.fromkeys(("exceptions", "runtime"), "data"),
    **dict.fromkeys(("data", "graphs", "metrics", "io", "datasets"), "space"),
    **dict.fromkeys(("linear", "ops", "layers", "networks", "storage", "training"), "time"),
    **dict.fromkeys(("prediction", "forecasters"), "mix"),
    **dict.fromkeys(("evaluation", "sktime", "plotting", "cli"), "head"),
}

DIAGRAMS = {
    "packages": packages,
    "season_and_line": season_and_line,
    "stid": stid,
    "stm3": stm3,
    "stmamba": stmamba,
    "s2tx": s2tx,
    "mad": mad,
}


if __name__ == "__main__":
    for name, draw in DIAGRAMS.items():
        (Path(__file__).parent / "images" / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")
