"""The page in a real browser: it draws, plays, asks the network for nothing, and fits a phone."""

import shutil

import pytest

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--no-first-run", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on PATH")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, page):
    """Opens the page; what goes wrong in it is in `opened.wrong`."""
    tabs = []

    def open_page(**how):
        tab = browser.new_page(**{"viewport": {"width": 1200, "height": 800}, **how})
        tab.on("console", lambda message: open_page.wrong.append(message.text))
        tab.on("pageerror", lambda error: open_page.wrong.append(str(error)))
        tab.on("dialog", lambda dialog: (open_page.wrong.append("a dialog"), dialog.dismiss()))
        tab.on("request", lambda request: open_page.asked.add(request.url.partition(":")[0]))
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-ready]")
        tabs.append(tab)
        return tab

    open_page.wrong, open_page.asked = [], set()
    yield open_page
    for tab in tabs:
        tab.close()


def wait_for(tab, condition):
    """Until an expression is true; the page's policy forbids playwright's own way."""
    for _ in range(100):
        if tab.evaluate(condition):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(condition)


def test_it_draws_all_plots_and_asks_nobody_for_anything(opened):
    tab = opened()
    tab.wait_for_timeout(300)
    drawn = tab.eval_on_selector_all(".plot", "all => all.map(one => !!one.querySelector('svg'))")
    assert len(drawn) >= 8
    assert all(drawn)
    assert opened.wrong == []
    assert opened.asked <= {"file", "data", "blob"}


def test_a_sound_plays_and_stops_the_one_before(opened):
    tab = opened()
    assert tab.locator("audio").count() >= 3 * 7
    states = tab.evaluate("""async () => {
        const [first, second] = document.querySelectorAll("audio");
        await first.play();
        await new Promise(done => setTimeout(done, 400));
        const played = first.currentTime;
        await second.play();
        return {played, paused: first.paused, error: first.error, length: first.duration};
    }""")
    assert states["played"] > 0.1
    assert states["paused"]
    assert states["error"] is None
    assert states["length"] == pytest.approx(1.5, abs=0.01)
    decoded = tab.evaluate("""async () => {
        const all = [...document.querySelectorAll("audio")];
        return Promise.all(all.map(async one => {
            while (one.readyState < 1) await new Promise(done => setTimeout(done, 20));
            return one.duration > 0 && !one.error;
        }));
    }""")
    assert all(decoded)
    assert opened.wrong == []


def test_no_width_scrolls_sideways(opened):
    tab = opened(viewport={"width": 320, "height": 800})
    tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    for width in (320, 360, 768, 1400, 360):
        tab.set_viewport_size({"width": width, "height": 800})
        tab.wait_for_timeout(300)
        assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert opened.wrong == []


def test_plots_take_the_colours_of_light_and_dark(opened):
    tab = opened(color_scheme="light")
    colour = """document.querySelector(".plot .ytick text, .plot .xtick text").style.fill"""
    light = tab.evaluate(colour)
    tab.emulate_media(color_scheme="dark")
    wait_for(tab, f"{colour} !== '{light}'")
    assert opened.wrong == []


def test_keys_reach_everything_and_zoom_a_plot(opened):
    tab = opened()
    reached = set()
    for _ in range(400):
        tab.keyboard.press("Tab")
        kind = tab.evaluate("""(() => {
            const one = document.activeElement;
            return one === document.body ? "end" : one.classList[0] || one.tagName.toLowerCase();
        })()""")
        reached.add(kind)
        if kind == "end":
            break
    assert {"skip", "a", "plot", "audio", "summary"} <= reached
    tab.locator("#plot-2").focus()
    width = """(() => {
        const [low, high] = document.getElementById("plot-2")._fullLayout.xaxis.range;
        return high - low;
    })()"""
    before = tab.evaluate(width)
    tab.keyboard.press("+")
    wait_for(tab, f"{width} < {before * 0.9}")
    tab.keyboard.press("0")
    wait_for(tab, f"Math.abs({width} - {before}) < {before * 0.01}")
    assert opened.wrong == []


def test_names_are_drawn_as_text(opened):
    tab = opened()
    assert tab.locator("text=<script>alert(1)</script>").count() >= 1
    hovered = tab.evaluate("""async () => {
        const evil = trace => (trace.text || []).some(text => text.includes("script"));
        const all = [...document.querySelectorAll(".plot")];
        const plot = all.find(one => one.data.some(evil));
        const at = plot.data.findIndex(evil);
        const point = plot.data[at].text.findIndex(text => text.includes("script"));
        Plotly.Fx.hover(plot, [{curveNumber: at, pointNumber: point}]);
        await new Promise(done => setTimeout(done, 200));
        return plot.querySelector(".hoverlayer").textContent;
    }""")
    assert '<script>alert(1)</script>"&' in hovered
    assert opened.wrong == []
