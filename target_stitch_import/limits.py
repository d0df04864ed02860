"""The limits of the Import API, from its reference documentation."""

from __future__ import annotations

MAX_MESSAGES = 20_000
"""Messages in one batch."""

MAX_BODY_BYTES = 20_000_000
"""Bytes of one request body."""

MAX_SEQUENCE = 9_223_372_036_854_775_807

MAX_DATA_POINTS = 10_000
"""Scalar values in one record, at any depth; null counts, too."""

MAX_KEY_CHARACTERS = 1_024
"""Characters of a key property's value."""
