"""How the documentation is built: ``make docs``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from listing import write_reference
from pictures import save_displays

import stmest

write_reference(Path(__file__).parent / "reference")

project = "stmest"
author = "stmest developers"
copyright = "stmest developers, BSD-3-Clause"
release = version = stmest.__version__

extensions = [
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "gallery", "tutorial_source"]
templates_path = ["_templates"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
# Pages link to source files and results of the repository, which are no pages.
suppress_warnings = ["myst.xref_missing", "config.cache"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "  # is not copied, and neither is output
copybutton_prompt_is_regexp = True

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings tell the types, with shapes
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "stmest"
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_nav_level": 1,
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "icon_links": [],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {
    page: [] for page in ("index", "install", "comparison", "honesty", "security", "contributing")
}
html_static_path = ["_static"]
html_css_files = ["stmest.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False

sphinx_gallery_conf = {
    "examples_dirs": ["tutorial_source", "gallery"],
    "gallery_dirs": ["tutorial", "auto_gallery"],
    "within_subsection_order": "FileNameSortKey",
    "filename_pattern": r"/plot_",
    "image_scrapers": (save_displays,),
    "reset_modules": (),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "capture_repr": ("_repr_html_", "__repr__"),
    "min_reported_time": 1,
    "plot_gallery": True,
}
