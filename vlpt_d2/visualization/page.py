"""HTML pages from the templates next to this module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

__all__ = ["render_page"]


def render_page(template: str, title: str, width: str = "1000px", **values: Any) -> str:
    """Fill a template; values are escaped where it does not say "safe".

    Args:
        template: its file in ``templates``.
        title: of the page.
        width: of its text, as CSS has it.
        values: what the template names; one that is missing is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["words"] = lambda name: name.replace("_", " ")
    return environment.get_template(template).render(title=title, width=width, **values)
