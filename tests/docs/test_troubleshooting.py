"""Every message of the program about a problem has its entry in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.user_messages import messages, stable_part

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"


def entries() -> set[str]:
    """Return the messages that the page explains."""
    blocks = re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return {line for block in blocks for line in block.splitlines()}


def test_every_message_has_its_entry() -> None:
    """Copy what is missing into a group of the page, and say there what to do."""
    found = messages()
    missing = [f"{text}   ({place})" for text, place in found.items() if text not in entries()]
    assert not missing


def test_no_entry_is_outdated() -> None:
    """Remove or update what the program no longer says."""
    assert sorted(entries() - set(messages())) == []


def test_the_messages_are_found() -> None:
    """A search that finds nothing would pass the two tests above."""
    found = messages()
    assert len(found) > 90
    assert "connection refused" in found
    assert any(text.startswith("The write to table %s failed. ") for text in found)  # a log's error
    assert stable_part("Line …: the key … is wrong.") == "is wrong"
