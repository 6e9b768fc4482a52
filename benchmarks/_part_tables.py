"""The tables of what each part of a network does, as Markdown, from the stored results."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from _tables import NETWORKS, TASKS, by_seed, markdown, number, stored

__all__ = ["TABLES"]

COLUMNS = {
    "graph_auc": "edges found, AUC", "kinds_ari": "kinds found, ARI", "unusual": "windows sent elsewhere",
    "moved": "Mamba shuffled moves",
}  # fmt: skip
OF_CASES = {"stm3": "STM3", "s2tx": "S2TX", "mad": "MAD", "stmamba": "STMamba"}


def encoder() -> str:
    """The networks whole, with their head alone, and without an encoder."""
    found, tasks = by_seed("accuracy_encoder", "runs"), ("simulated", "molene")
    named = {"": "", " head alone": ", head alone", " no encoder": ", no encoder"}
    rows = []
    for network in ("stm3", "stmamba"):
        for left, told in named.items():
            values = [found.get(f"{task}|{network}{left}") for task in tasks]
            if any(values):
                rows.append([f"{NETWORKS[network]}{told}", *(number(seeds, 4) for seeds in values)])
    return markdown(["", *(TASKS[task] for task in tasks)], rows)


def mechanisms() -> str:
    """Errors on tasks whose answer needs a mechanism, with it and without."""
    told = stored("mechanisms")["settings"]["tasks"]
    found = {value: by_seed("mechanisms", "runs", value) for value in ("error", *COLUMNS)}
    rows = []
    for case, task in told.items():
        variants = [key for key in found["error"] if key.startswith(f"{case}|")]
        variants.sort(key=lambda key: not key.endswith("|whole"))
        for place, key in enumerate(variants):
            others = [found[value].get(key) for value in COLUMNS]
            shown = ["" if seeds is None else f"{statistics.mean(seeds):.2f}" for seeds in others]
            first = f"{OF_CASES[case.partition('-')[0]]}: {task}" if not place else ""
            rows.append([first, key.partition("|")[2], number(found["error"][key], 2), *shown])
    return markdown(["task", "network", "error", *COLUMNS.values()], rows)


TABLES: dict[str, Callable[[], str]] = {"encoder": encoder, "mechanisms": mechanisms}
