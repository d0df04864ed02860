"""Pipelines, limits and rules of the default settings; a test overrides some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from target_stitch_import.app import batch_limits, pipeline_rules
from target_stitch_import.batching.pipeline import Pipeline
from target_stitch_import.config.settings import Settings
from target_stitch_import.run.sender import SenderRules

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULTS = Settings.load({}, needs_token=False)


def limits(**given: Any) -> Any:
    """Return the limits of batches, with those in `given` replaced."""
    return replace(batch_limits(DEFAULTS), **given)


def sender_rules(**given: Any) -> SenderRules:
    """Return the rules of the sender, with those in `given` replaced."""
    defaults = SenderRules(DEFAULTS.requests_at_once, DEFAULTS.max_retry_seconds)
    return replace(defaults, **given)


def pipeline(
    batches: Any = None, check_interrupt: Callable[[], None] = lambda: None, **given: Any
) -> Pipeline:
    """Return a pipeline; `given` replaces rules of its own and, by name, of its streams."""
    rules = pipeline_rules(DEFAULTS)
    names = rules.stream.__struct_fields__
    stream = replace(rules.stream, **{name: given.pop(name) for name in names if name in given})
    return Pipeline(replace(rules, stream=stream, **given), batches or limits(), check_interrupt)
