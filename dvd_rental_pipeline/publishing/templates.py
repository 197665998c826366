"""The environment in which the templates in `pages/` are rendered, and the files that every page loads."""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dvd_rental_pipeline.publishing.navigation import SITE_PARTS

PAGES = Path(__file__).parent / "pages"
THEME_FILES = ("theme.css", "site.js")


def template_environment() -> Environment:
    """Escapes every value, and raises an error for an undefined one."""
    return Environment(
        loader=PackageLoader("dvd_rental_pipeline.publishing", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def site_values(part: str) -> Mapping[str, Any]:
    """The values of `base.html` for a page in the folder of `part`; an empty part is the top of the site.

    Every part has its own copy of the theme, so that a part that is held keeps the one that it was built for.
    """
    return {
        "root": "../" if part else "",
        "current": part,
        "parts": SITE_PARTS,
        "theme_path": "",
        "wide": False,
    }


def copy_files(names: Collection[str], folder: Path) -> None:
    """Copy files of `pages/` into `folder`."""
    for name in names:
        shutil.copyfile(PAGES / name, folder / name)


def script_json(text: str) -> Markup:
    """JSON `text` for a script element, with `<` escaped."""
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))  # noqa: S704 - escaped here
