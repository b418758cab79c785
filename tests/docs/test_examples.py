"""Every example in the README and docs/ runs and prints what its page shows; links have targets.

A ```python block is complete. An ```output block after it is exactly what it prints.
"""

import ast
import importlib.util
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from tests.commands import ENVIRONMENT, ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RECIPES = sorted(ROOT.glob("recipes/*/README.md"))
FENCE = re.compile(r"^```(\w*)\s*$")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")

# Examples that change the process they run in, or need one of their own: frameworks, root loggers.
OWN_PROCESS = {"accelerate", "ignite", "lightning", "logging", "transformers"}


@dataclass
class Block:
    """A fenced block of a page: its language, its text, the line of the page before its first."""

    page: Path
    language: str
    text: str
    line: int
    prints: str | None = None

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line + 1}"

    @property
    def code(self) -> str:
        """With the page's own line numbers, so that a traceback leads back to it."""
        return "\n" * self.line + self.text

    def packages(self) -> set[str]:
        names = set()
        for node in ast.walk(ast.parse(self.text)):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module))
        return {name.partition(".")[0] for name in names}


def blocks(page: Path) -> Iterator[Block]:
    language, start, body = None, 0, list[str]()
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        fence = FENCE.match(line)
        if language is None and fence:
            language, start, body = fence.group(1), number, []
        elif language is not None and line.strip() == "```":
            yield Block(page, language, "\n".join(body) + "\n", start)
            language = None
        elif language is not None:
            body.append(line)
    assert language is None, f"{page.name}:{start}: a block without an end"


def examples(page: Path) -> list[Block]:
    found = list[Block]()
    for block in blocks(page):
        if block.language == "python":
            found.append(block)
        elif block.language == "output":
            assert found, f"{block}: output of nothing"
            assert found[-1].prints is None, f"{block}: a second output of one example"
            found[-1].prints = block.text
    return found


# DDP and FSDP hold the process group in cycles. Where it is left to the interpreter's end, a thread
# of gloo's that wants the interpreter's lock by then aborts about one process in ten.
COLLECTED = """
import gc, runpy, sys
runpy.run_path(sys.argv[1], run_name="__main__")
gc.collect()
"""
EXAMPLES = [example for page in PAGES for example in examples(page)]


def in_this_process(example: Block) -> str:
    printed = StringIO()
    with warnings.catch_warnings(), redirect_stdout(printed):
        warnings.filterwarnings("error", module="autoclip_sep")
        exec(compile(example.code, str(example.page), "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def in_a_process_of_its_own(example: Block, folder: Path) -> str:
    file = folder / f"{example.page.stem}.py"
    file.write_text(example.code)
    launch = [sys.executable]
    if "init_process_group" in example.text:
        launch += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        (folder / "collected.py").write_text(COLLECTED)
        launch.append("collected.py")
    done = subprocess.run(
        [*launch, str(file)],
        cwd=folder,
        env={**ENVIRONMENT, "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{example}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example_runs(example: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in sorted(example.packages()):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} isn't installed")
    monkeypatch.chdir(tmp_path)
    alone = "init_process_group" in example.text or example.packages() & OWN_PROCESS
    printed = in_a_process_of_its_own(example, tmp_path) if alone else in_this_process(example)
    if example.prints is not None:
        assert printed == example.prints, f"{example} prints something else"


@pytest.mark.parametrize(
    ("page", "least"),
    [("clipping.md", 8), ("regimes.md", 11), ("distributed.md", 3), ("migration.md", 5)],
)
def test_no_example_is_lost(page: str, least: int) -> None:
    path = ROOT / "docs" / page
    fences = path.read_text().count("\n```python\n")
    assert len([example for example in EXAMPLES if example.page == path]) == fences >= least


def headings(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    text = "\n".join(text_outside_blocks(page))
    titles = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def text_outside_blocks(page: Path) -> list[str]:
    lines, inside = list[str](), False
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            lines.append(line)
    return lines


@pytest.mark.parametrize("page", [*PAGES, *RECIPES], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall("\n".join(text_outside_blocks(page))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: nothing at {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link} leads out of the repository"
        if anchor:
            assert anchor in headings(target), f"{page.name}: no heading for {link}"


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
