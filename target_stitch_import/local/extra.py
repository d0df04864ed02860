"""The dependencies of the local Import API, and the error when they are not installed."""

from __future__ import annotations

from importlib.util import find_spec

MODULES = ("duckdb", "starlette", "uvicorn", "jinja2")


class LocalExtraMissingError(ImportError):
    """The extra `local` is not installed; the text says what to install."""


def require_extra() -> None:
    """Raise LocalExtraMissingError unless everything the local Import API needs is there."""
    missing = [name for name in MODULES if find_spec(name) is None]
    if missing:
        raise LocalExtraMissingError(
            f"The local Import API needs packages that are not installed: {', '.join(missing)}."
            " Install the extra `local` of target-stitch-import."
        )
