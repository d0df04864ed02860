"""Makes Singer messages, and a tap's output of them."""

from __future__ import annotations

import json
from typing import Any


def lines(messages: list[Any]) -> bytes:
    """Return messages as the lines of a tap; a message that is text is a line itself."""
    texts = [each if isinstance(each, str) else json.dumps(each) for each in messages]
    return "".join(f"{text}\n" for text in texts).encode()


def schema(stream: str = "people", keys: tuple[str, ...] = ("id",), **properties: Any) -> Any:
    """Return a SCHEMA with an integer `id`, a nullable `name`, and the given properties."""
    columns = {"id": {"type": "integer"}, "name": {"type": ["null", "string"]}} | properties
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": columns},
        "key_properties": list(keys),
    }


def record(number: int, stream: str = "people", **members: Any) -> Any:
    """Return a RECORD whose `id` is `number`; `message` has members such as `version`."""
    message = members.pop("message", {})
    return {"type": "RECORD", "stream": stream, "record": {"id": number} | members} | message


def state(value: Any) -> Any:
    """Return a STATE."""
    return {"type": "STATE", "value": value}


def activate(version: int, stream: str = "people") -> Any:
    """Return an ACTIVATE_VERSION."""
    return {"type": "ACTIVATE_VERSION", "stream": stream, "version": version}
