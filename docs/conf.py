import os
import sys
import tomllib
from pathlib import Path

from docutils import nodes
from docutils.utils.math import latex2mathml

_root = Path(__file__).resolve().parent.parent
_metadata = tomllib.loads((_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "sparse_fourier"
author = copyright = _metadata["authors"][0]["name"]
version = release = _metadata["version"]

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
templates_path = ["_templates"]
exclude_patterns = ["_build", "examples", "snippets"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autosummary_imported_members = False
autosummary_ignore_module_all = False
autodoc_typehints = "none"
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"

sys.path.insert(0, os.path.dirname(__file__))  # for gallery_order
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "gallery_order.Order",
    "reference_url": {"sparse_fourier": None},
    "doc_module": ("sparse_fourier",),
    "backreferences_dir": "gallery/backreferences",
    "remove_config_comments": True,
    "show_signature": False,
    "show_memory": False,
    "write_computation_times": False,
}

html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme = "pydata_sphinx_theme"
html_title = project
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "show_prev_next": False,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
_ALONE = ("index", "changelog", "architecture", "benchmarks", "coming_from", "faq", "extending")
html_sidebars = {page: [] for page in _ALONE}


def _is_of_others(app, what, name, obj, skip, options):
    """Leave out what scikit-learn and Python add to every class: their pages explain it."""
    ours = str(getattr(obj, "__module__", "sparse_fourier")).startswith("sparse_fourier")
    return None if ours and not (name.startswith("set_") and name.endswith("_request")) else True


def _visit_math(translator, node):
    """Write a formula as MathML: browsers show it without a script, and without a network."""
    display = node.tagname == "math_block"
    formula = latex2mathml.tex2mathml(node.astext(), as_block=display)
    translator.body.append(f'<div class="formula">{formula}</div>' if display else formula)
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (_visit_math, None), (_visit_math, None))
    app.connect("autodoc-skip-member", _is_of_others)
