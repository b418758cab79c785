"""What a page is made of, as plain content; `page` turns it into HTML and escapes all of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Plot:
    """An interactive plot. data, layout: plotly's; colours are names of page.css, such as "@ink".

    answer: what it shows, in words, for those who don't see it. beside: whether it takes half the
    width where there is room. height: in rem.
    """

    kind: ClassVar[str] = "plot"
    title: str
    answer: str
    data: Sequence[dict[str, Any]]
    layout: dict[str, Any]
    caption: str = ""
    beside: bool = False
    height: float = 18


@dataclass(frozen=True)
class Table:
    """Rows of text; the first cell names its row. folded: shown when asked for.

    words: the columns that aren't numbers.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False
    words: Collection[int] = ()


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Picture:
    """A spectrogram or a mask. uri: a data URI. answer: in words. top: its highest frequency."""

    uri: str
    answer: str
    top: str
    seconds: float


@dataclass(frozen=True)
class Sound:
    """One signal to see and to hear. side: of which run, "a" or "b", empty for the corpus' own."""

    title: str
    pictures: Sequence[Picture]
    uri: str
    note: str = ""
    side: str = ""


@dataclass(frozen=True)
class Row:
    """Sounds beside each other. heading: what they are of; value: its score."""

    sounds: Sequence[Sound]
    heading: str = ""
    value: str = ""


@dataclass(frozen=True)
class Example:
    """A mixture and what was made of it."""

    kind: ClassVar[str] = "example"
    title: str
    item: str
    note: str
    rows: Sequence[Row]


Part = Plot | Table | Text | Example


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading. answer: its result in a sentence, below the heading.

    figure, unit: a number to be set large, and what it is. clear: whether it may be set in colour,
    as a finding; a difference that may be none isn't.
    """

    title: str
    answer: str
    parts: Sequence[Part] = field(default_factory=list)
    figure: str = ""
    unit: str = ""
    clear: bool = True

    @property
    def name(self) -> str:
        """For links within the page."""
        return self.title.lower().replace(" ", "-")
