"""The message that values of a field are repaired, for a run and for a replay."""

from __future__ import annotations

from target_stitch_import.errors import quoted
from target_stitch_import.schema.repairs import RESPELLED


def repair_words(field: str, repair: str) -> str:
    """Return how values of a field are repaired, as part of a sentence."""
    if repair == RESPELLED:
        return (
            f"field {quoted(field)}: date-times are rewritten to the format that the Import API "
            "requires (2024-01-31T23:59:59Z or +01:00)"
        )
    return f"field {quoted(field)}: values are repaired by `{repair}`"
