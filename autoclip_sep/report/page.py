"""Sections to one HTML file that needs no network and can reach none.

All text goes through Jinja2's autoescape. A Content-Security-Policy allows the page's own two
scripts, by their digests, and nothing from elsewhere.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from autoclip_sep.optional import require
from autoclip_sep.report.section import Plot, Section


def plotly_script() -> str:
    """Plotly's own file. Raises InputError where the package is missing."""
    return str(require("plotly.offline", "report.html").get_plotlyjs())


def page(
    title: str,
    subject: str,
    sections: Sequence[Section],
    left_out: Sequence[str],
    version: str,
    plotly: str,
) -> bytes:
    """The page in UTF-8. left_out: a line for each section that isn't there, with the reason.

    plotly: its script.
    """
    scripts = [_inline(plotly), _inline(_own("page.js"))]
    plots: dict[str, dict[str, Any]] = {}

    def add(plot: Plot) -> str:
        """Keep what a plot shows; gives the id of its place."""
        name = f"plot-{len(plots) + 1}"
        plots[name] = {"data": plot.data, "layout": plot.layout, "beside": plot.beside}
        return name

    environment = Environment(
        loader=PackageLoader("autoclip_sep.report", "."), autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    text = environment.get_template("page.html").render(
        title=title,
        subject=subject,
        sections=sections,
        left_out=left_out,
        version=version,
        style=Markup(_own("page.css")),
        plotly=Markup(scripts[0]),
        script=Markup(scripts[1]),
        allowed=" ".join(f"'sha256-{_digest(script)}'" for script in scripts),
        add=add,
        plots=plots,
    )
    return text.encode(errors="backslashreplace")


def _own(name: str) -> str:
    return files("autoclip_sep.report").joinpath(name).read_text(encoding="utf-8")


def _inline(script: str) -> str:
    """A script as it may stand in HTML: nothing in it ends it, and no line end is changed."""
    return script.replace("\r\n", "\n").replace("</script", r"<\/script").strip()


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
