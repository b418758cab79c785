"""The package's docstrings as Markdown: ``::`` before a block, arguments as ``name: text``."""

import re
from typing import Any

from griffe import Extension, Object

ARGUMENT = re.compile(r"^(\w+(?:, \w+)*): (?=\S)", re.MULTILINE)
LITERAL = re.compile(r"::$", re.MULTILINE)


class Markdown(Extension):
    """Rewrites the docstrings for the site; the source is unchanged."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called for each object once it is loaded."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """Arguments as a list, code blocks introduced by a single colon."""
    paragraphs = LITERAL.sub(":", text).split("\n\n")
    return "\n\n".join(_listed(p) if ARGUMENT.match(p) else p for p in paragraphs)


def _listed(paragraph: str) -> str:
    return ARGUMENT.sub(lambda match: f"- **{match[1]}**: ", paragraph)
