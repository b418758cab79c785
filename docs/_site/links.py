"""Links from pages to files of the repository work in the site as they do on GitHub.

The recipes become pages as they are, source files and folders become pages that show them, and
other linked files are copied.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LANGUAGES = {".py": "python", ".yaml": "yaml"}
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"(?<=\]\()(?![a-z]+:)([^)#\s]+)")  # of a link, without its anchor


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the pages link to, and what that links to."""
    root = Path(config.config_file_path).parent
    waiting = list(files.documentation_pages())
    while waiting:
        page = waiting.pop()
        for path in _linked(page):
            uri = _uri(root, path)
            if files.get_file_from_path(uri) is None:  # the build reports files that don't exist
                for file in _made(root, path, uri, config):
                    files.append(file)
                    waiting.extend([file] if path.endswith(".md") else [])
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links to where the site has their targets."""
    root = Path(config.config_file_path).parent
    here = posixpath.dirname(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        return posixpath.relpath(_uri(root, _path(page.file, match[0])), here or ".")

    blocks = FENCED.findall(markdown)
    texts = [TARGET.sub(moved, text) for text in FENCED.split(markdown)]
    return "".join(text + block for text, block in zip(texts, [*blocks, ""], strict=True))


def _linked(page: File) -> Iterator[str]:
    """The files that a page links to, by their paths in the repository."""
    for target in TARGET.findall(FENCED.sub("", page.content_string)):
        yield _path(page, target)


def _path(page: File, target: str) -> str:
    """The target of a page's link, by its path in the repository."""
    uri = page.src_uri
    here = uri if uri.startswith("recipes/") else f"docs/{uri}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(here), target))


def _uri(root: Path, path: str) -> str:
    """Where the site has a file of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    shown = (root / path).is_dir() or Path(path).suffix in LANGUAGES
    return f"source/{path}.md" if shown else path


def _made(root: Path, path: str, uri: str, config: MkDocsConfig) -> Iterator[File]:
    source = root / path
    if source.is_dir():
        names = sorted(entry.name + "/" * entry.is_dir() for entry in source.iterdir())
        text = "\n".join(name for name in names if not name.startswith((".", "__pycache__")))
        yield File.generated(config, uri, content=_page(path, "text", text))
    elif source.suffix in LANGUAGES and source.is_file():
        text = source.read_text(encoding="utf-8").rstrip()
        yield File.generated(config, uri, content=_page(path, LANGUAGES[source.suffix], text))
    elif source.is_file():
        yield File.generated(config, uri, abs_src_path=str(source))


def _page(path: str, language: str, text: str) -> str:
    front = "---\nsearch:\n  exclude: true\nhide: [toc]\n---\n"
    return f"{front}\n# {path}\n\n````{language}\n{text}\n````\n"
