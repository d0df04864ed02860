"""A hook of MkDocs: files outside `docs/` that pages link to become part of the site.

They are below `project/`. Pages link to each other by their place in the repository, so that they
can be read there; the links are rewritten to their place in the site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md")
"""Pages outside `docs/`; they may link to more files."""
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_DOCS, _PROJECT = "docs/", "project/"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that pages link to."""
    pages = {*PAGES, *(_in_repository(file.src_uri) for file in files.documentation_pages())}
    linked = {each for page in pages for each in _links(page) if (ROOT / each).is_file()}
    for path in sorted(linked | set(PAGES)):
        if not path.startswith(_DOCS):
            files.append(File.generated(config, _PROJECT + path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite links to where their targets are in the site."""
    here = _in_repository(page.file.src_uri)

    def rewritten(found: re.Match[str]) -> str:
        target = _target(here, found[2])
        if target is None:
            return found[0]
        start = posixpath.dirname(page.file.src_uri)
        return found[1] + posixpath.relpath(_in_site(target), start or ".") + found[3]

    return _LINK.sub(rewritten, markdown)


def _links(page: str) -> set[str]:
    """Return what a page links to, as paths in the repository."""
    found = (_target(page, link) for _, link, _ in _LINK.findall((ROOT / page).read_text()))
    return {each for each in found if each}


def _target(page: str, link: str) -> str | None:
    """Return the path in the repository that a page's link leads to; None for another site."""
    if "://" in link:
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def _in_repository(site: str) -> str:
    return site.removeprefix(_PROJECT) if site.startswith(_PROJECT) else _DOCS + site


def _in_site(repository: str) -> str:
    return repository.removeprefix(_DOCS) if repository.startswith(_DOCS) else _PROJECT + repository
