import os
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import ziamath
from docutils import nodes

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
exclude_patterns = ["_build", "examples", "scripts", "snippets"]
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

html_math_renderer = "drawn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
ziamath.config.svg2 = False
html_theme = "pydata_sphinx_theme"
html_title = project
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "show_prev_next": False,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": {"*": ["page-toc"], "guide/*": ["page-toc"], "api/**": ["page-toc"]},
    "footer_start": ["copyright"],
    "footer_end": [],
}
_ALONE = ("index", "changelog", "architecture", "benchmarks", "coming_from", "faq", "extending")
html_sidebars = {page: [] for page in _ALONE}


def _is_of_others(app, what, name, obj, skip, options):
    """Leave out what scikit-learn and Python add to every class: their pages explain it."""
    ours = str(getattr(obj, "__module__", "sparse_fourier")).startswith("sparse_fourier")
    return None if ours and not (name.startswith("set_") and name.endswith("_request")) else True


_SIZE = 16  # of the text around a formula, in the unit of its drawing
_LARGER = 1.15  # the letters of formulas are small for their size


def _visit_math(translator, node):
    """Draw a formula, with its text for those who listen: no script, no network, no fonts of the reader's."""
    text, display = node.astext().strip(), node.tagname == "math_block"
    formula = ziamath.Latex(text, size=_LARGER * _SIZE, inline=not display, color="currentColor")
    picture = formula.svgxml()
    for side in ("width", "height"):
        picture.set(side, f"{float(picture.get(side)) / _SIZE:.3f}em")
    picture.set("style", f"vertical-align: {formula.getyofst() / _SIZE:.3f}em")
    picture.set("role", "img")
    picture.set("aria-label", text)
    drawing = ElementTree.tostring(picture, encoding="unicode")
    translator.body.append(f'<div class="formula">{drawing}</div>' if display else drawing)
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("drawn", (_visit_math, None), (_visit_math, None))
    app.connect("autodoc-skip-member", _is_of_others)
