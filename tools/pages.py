"""A hook of MkDocs that adds the files outside `docs/` that pages link to.

In the site they are below `project/`. Pages link to each other by their paths in the repository, so
that the links work there too; this hook rewrites them to paths in the site.
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
    """Return a page with its links rewritten to paths in the site."""
    here = _in_repository(page.file.src_uri)

    def rewritten(found: re.Match[str]) -> str:
        target = _target(here, found[2])
        if target is None:
            return found[0]
        start = posixpath.dirname(page.file.src_uri)
        return found[1] + posixpath.relpath(_in_site(target), start or ".") + found[3]

    return _LINK.sub(rewritten, markdown)


def _links(page: str) -> set[str]:
    """Return the paths in the repository that a page links to."""
    found = (_target(page, link) for _, link, _ in _LINK.findall((ROOT / page).read_text()))
    return {each for each in found if each}


def _target(page: str, link: str) -> str | None:
    """Return the path in the repository that a page's link points to; None for other sites."""
    if "://" in link:
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def _in_repository(site: str) -> str:
    return site.removeprefix(_PROJECT) if site.startswith(_PROJECT) else _DOCS + site


def _in_site(repository: str) -> str:
    return repository.removeprefix(_DOCS) if repository.startswith(_DOCS) else _PROJECT + repository
