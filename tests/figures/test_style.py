import pytest
from matplotlib.figure import Figure

from autoclip_sep.figures import style


def test_axes_stay_where_they_are_once_settled():
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots()
    style.settle(figure, 200)
    edges = axes.get_position().bounds
    assert list(edges) == pytest.approx([round(edge, 6) for edge in edges], abs=1e-12)
    axes.set_ylabel("two\nlines")
    figure.draw_without_rendering()
    assert axes.get_position().bounds == edges
    assert figure.dpi == 200


def small_print(text, width=4):
    figure = Figure(figsize=(width, 3))
    style.footer(figure, text)
    return figure.get_supxlabel()


def test_a_short_footer_is_one_line():
    assert small_print("corpus demo  ·  seed 0") == "corpus demo  ·  seed 0"


def test_a_long_footer_is_broken_between_notes_into_lines_about_as_long():
    notes = [f"note number {n:02}" for n in range(8)]
    lines = small_print(style.BETWEEN.join(notes), width=5).split("\n")
    assert style.BETWEEN.join(lines).split(style.BETWEEN) == notes
    assert [line.count("note") for line in lines] == [4, 4]
    assert max(map(len, lines)) < style.LETTERS_PER_INCH * 5


def test_losses_have_the_papers_symbols_and_others_their_own_name():
    assert style.loss_name("chimera") == r"chimera, $L_\mathrm{MI+WKM}$"
    assert style.loss_name("some_other") == "some other"
