"""Takes the pictures of the examples for the gallery: stmest's figures are not known to pyplot, which it would ask."""

from __future__ import annotations

from typing import Any

from sphinx_gallery.scrapers import figure_rst

from stmest.plotting._canvas import Display

__all__ = ["save_displays"]

_SAVED = "_figures_saved"


def save_displays(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the displays that a block of an example drew, and return the text that shows them.

    Parameters
    ----------
    block : tuple
        The block of code.
    block_vars : dict
        Its variables: ``example_globals`` and ``image_path_iterator`` are used.
    gallery_conf : dict
        Settings of the gallery.

    Returns
    -------
    str
        reStructuredText with the pictures, empty if there are none.
    """
    names = block_vars["example_globals"]
    saved = names.setdefault(_SAVED, [])
    paths = []
    for name in list(names):
        value = names[name]
        if isinstance(value, Display) and not any(value is one for one in saved):
            saved.append(value)
            paths.append(next(block_vars["image_path_iterator"]))
            value.figure_.savefig(paths[-1], dpi=120)
    return figure_rst(paths, gallery_conf["src_dir"]) if paths else ""
