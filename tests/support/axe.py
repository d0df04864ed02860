"""Runs axe-core in a browser, to find accessibility violations of a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.programs import skip_or_fail

if TYPE_CHECKING:
    from tests.support.browser import Browser

SCRIPT = Path(__file__).parents[2] / ".tools/axe/node_modules/axe-core/axe.min.js"
# A line for each violation: rule, summary and element.
_RUN = """
axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}).then(
  (found) => found.violations.flatMap((each) => each.nodes.map(
    (node) => `${each.id}: ${node.failureSummary} ${node.html.slice(0, 200)}`)))
"""


def violations(browser: Browser) -> list[str]:
    """Return the violations that axe-core finds on the open page."""
    if not SCRIPT.exists():
        skip_or_fail("there is no axe-core in .tools/axe: `make .tools/axe/.ready` needs npm")
    browser.run(f"{SCRIPT.read_text()}; true")
    found: list[str] = browser.run(_RUN)
    return found
