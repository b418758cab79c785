"""The file: nothing in it is taken for markup or script, and nothing may be fetched."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from autoclip_sep.report import page as pages
from autoclip_sep.report.plots import label
from autoclip_sep.report.section import Example, Picture, Plot, Row, Section, Sound, Table, Text
from tests.report.conftest import EVIL

VOID = {"meta", "link", "img", "br", "input"}


class Parsed(HTMLParser):
    """All tags with their attributes, texts of scripts, and the visible text."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.open, self.scripts, self.text = [], [], [], ""
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def made(name):
    """A page that has a name wherever names can be."""
    picture = Picture("data:image/png;base64,", name, name, 1.0)
    sound = Sound(name, [picture], "data:audio/flac;base64,", name, "a")
    data = [{"type": "scatter", "x": [1], "y": [1], "text": [label(name)], "name": label(name)}]
    parts = [
        Plot(name, name, data, {"xaxis": {"title": {"text": label(name)}}}, name),
        Table(name, [name, name], [[name, name]], folded=True),
        Text(name),
        Example(name, name, name, [Row([sound], name, name)]),
    ]
    sections = [Section(name, name, parts, name, name)]
    script = "const end = '</script>';"
    return pages.page(name, name, sections, [name], "0", script).decode()


def test_names_are_text_wherever_they_stand():
    plain, evil = Parsed(made("name")), Parsed(made(EVIL))
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in plain.tags]
    assert [set(attributes) for _, attributes in evil.tags] == [
        set(attributes) for _, attributes in plain.tags
    ]
    assert evil.open == []
    assert EVIL in evil.text
    assert {image["alt"] for image in evil.all("img")} == {EVIL}


def test_plots_hold_escaped_names_in_whole_json():
    data, plotly, _ = Parsed(made(EVIL)).scripts
    (plot,) = json.loads(data).values()
    assert plot["data"][0]["text"] == ['&lt;script&gt;alert(1)&lt;/script&gt;"&amp;']
    assert plotly == r"const end = '<\/script>';"


def test_only_the_pages_own_scripts_may_run_and_nothing_may_be_fetched(page):
    content = page.read_text(encoding="utf-8")
    found = Parsed(content)
    (policy,) = [meta["content"] for meta in found.all("meta") if "http-equiv" in meta]
    allowed = re.search(r"script-src ([^;]*);", policy).group(1).split()
    assert allowed == [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in found.scripts[1:]
    ]
    assert policy.startswith("default-src 'none'; ")
    addresses = [
        attributes[key] for _, attributes in found.tags for key in ("src", "href")
        if key in attributes
    ]  # fmt: skip
    assert {address.partition(":")[0] for address in addresses if address[0] != "#"} == {"data"}
    assert len(content) < 15e6


def test_everything_has_a_name_for_those_who_dont_see_it(page):
    found = Parsed(page.read_text(encoding="utf-8"))
    headings = [int(tag[1]) for tag, _ in found.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))
    assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in found.tags}
    plots = [one for one in found.all("div") if one.get("class") == "plot"]
    assert all(len(plot["aria-label"]) > 20 and plot["tabindex"] == "0" for plot in plots)
    assert len({plot["aria-label"] for plot in plots}) == len(plots)
    assert all(image["alt"] for image in found.all("img"))
    assert all(audio["aria-label"] and "controls" in audio for audio in found.all("audio"))
    assert {head["scope"] for head in found.all("th")} == {"col", "row"}
    assert len(found.all("caption")) == len(found.all("table"))
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = [link["href"][1:] for link in found.all("a")]
    assert set(links) <= set(ids)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_paper_by_wcags_aa(scheme):
    blocks = re.findall(r":root \{(.*?)\}", pages._own("page.css"), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w+);", blocks[scheme == "dark"]))
    assert len(blocks) == 2
    for name in ("ink", "muted", "a", "b", "focus"):
        assert contrast(colours[name], colours["paper"]) >= 4.5, name


def contrast(one, other):
    """WCAG 2.2, relative luminance of sRGB."""

    def luminance(colour):
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
