"""Pages for people: HTML from the templates beside this file.

Every value that goes into a page is escaped, for titles and messages come from strangers; a page
loads nothing, runs nothing, and its policy says so to the browser.
"""

import math
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

_UNITS = ("kB", "MB", "GB", "TB")


def render(template: str, **values: Any) -> str:
    """The page that a template makes of values; one that is missing is an error.

    Args:
        template: a file of `templates/`, without its ending.
        values: what it shows; all text in them is escaped.
    """
    return _environment().get_template(f"{template}.html").render(values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("avpipe.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = lambda n: f"{n:,}"
    environment.filters["share"] = lambda x: f"{x:.1%}"
    environment.filters["size"] = size
    environment.filters["clock"] = clock
    return environment


def size(count: float) -> str:
    """Bytes for people, in powers of 1000."""
    if count < 1000:
        return f"{count:,.0f} bytes"
    power = min(int(math.log10(count)) // 3, len(_UNITS))
    return f"{count / 1000**power:,.1f} {_UNITS[power - 1]}"


def clock(seconds: float) -> str:
    """Seconds as `h:mm:ss` or `m:ss`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
