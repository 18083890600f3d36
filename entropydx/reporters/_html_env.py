"""The template engine of the page, and the one place where text becomes markup.

Everything that a template prints is escaped, with its control characters made visible and its length bounded, whatever
field it comes from: there is no list of fields that must be treated so, and no filter that switches it off. Only the
style sheet and the script, which are files of this package, are printed as they are, and their hashes stand in the
Content-Security-Policy, so that a browser runs nothing else even if something got through.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from entropydx.reporters._layout import shortened
from entropydx.reporters._words import visible_lines

MAX_TEXT = 8000
"""Characters of any one string; a page is for reading, and a line of a megabyte is not read."""
_FOLDER = "templates"


def harmless(value: Any) -> Any:
    """Return what a template is about to print: a string that cannot hide, reorder or flood anything."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    left = len(value) - MAX_TEXT
    shown = value[:MAX_TEXT] + (f"… ({left:,} more characters)" if left > 0 else "")
    return visible_lines(shown)


def asset(name: str) -> Markup:
    """Return a file of this package that is printed as it is."""
    return Markup(resources.files(__package__).joinpath(_FOLDER, name).read_text(encoding="utf-8").strip())


def policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy that allows one style sheet and one script by their hashes, and no request."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def environment() -> Environment:
    """Return the environment of every template."""
    found = Environment(
        loader=PackageLoader("entropydx.reporters", _FOLDER),
        autoescape=True,
        finalize=harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["upfirst"] = _upfirst
    found.filters["shortened"] = shortened
    return found


def _upfirst(text: str) -> str:
    """Return a text whose first letter is a capital; `capitalize` would lower the others."""
    return text[:1].upper() + text[1:]
