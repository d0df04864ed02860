"""Matches the regular expressions of schemas, in engines that bound their work.

Invariant: no call takes longer than about half a second, whatever expression and text are.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_PART = re.compile(
    r"\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]"  # an escape, a class of characters
    r"|\{(?P<least>\d{1,9})(?:,(?P<most>\d{0,9}))?\}|.",
    re.DOTALL,
)

STEPS = 200_000
"""The maximum cost of a check; a step takes about a microsecond."""

_PER_STEP = 50
"""Characters times states that the linear engine processes in a step, in the worst case."""
_PER_BACKTRACK_STEP = 500
_BACKTRACKS = 50_000_000
"""The limit for characters times backtracks in the backtracking engine."""
_MAX_STATES = 20_000
_MAX_CHARACTERS = 10 * _MAX_STATES
"""A longer expression is not examined: it has too many states."""

MAX_PATTERN_COST = 500_000
"""The maximum cost of compiling all expressions of a schema, by `compile_cost`."""
_WIDE = re.compile(r"\\[pP]|\(\?[=!<].*\\[wWdDsSbB]|\\[wWdDsSbB].*\(\?[=!<]", re.DOTALL)
"""Unicode classes, which are large. In the linear engine, `\\w` and the like are ASCII."""
_WIDE_COST = 700


class TooCostlyError(Exception):
    """A check has reached the limit of its cost without a result."""


class Pattern:
    """A regular expression.

    `is_known` is whether an engine supports it, `is_linear` whether that is the one without
    backtracking, and `is_sound` whether it is a valid expression, even if it is too large. `states`
    is approximately how many states it can be in at once.
    """

    def __init__(self, expression: str) -> None:
        self.states = _states(expression)
        self._expression = expression
        is_small = self.states <= _MAX_STATES
        self._linear = _linear(expression) if is_small else None
        self.is_linear = self._linear is not None
        self.is_known = self.is_linear or (is_small and _backtracking(expression, 10) is not None)
        self.is_sound = self.is_known or _is_sound(expression)

    def cost(self, length: int) -> int:
        """Return how many steps matching a text of `length` characters can take."""
        if self.is_linear:
            return 1 + length * self.states // _PER_STEP
        return 1 + length * _backtracks(length) // _PER_BACKTRACK_STEP

    def matches(self, text: str) -> bool:
        """Return whether the expression is found in `text`; True if no engine supports it.

        Raises:
            TooCostlyError: The search backtracks too often.
        """
        if self._linear is not None:
            return bool(self._linear.is_valid(text))
        validator = _backtracking(self._expression, _backtracks(len(text)))
        if validator is None or validator.is_valid(text):
            return True
        error = next(iter(validator.iter_errors(text)), None)
        kinds = _engines().ValidationErrorKind
        if error is not None and isinstance(error.kind, kinds.BacktrackLimitExceeded):
            raise TooCostlyError
        return False


def compile_cost(expression: str) -> int:
    """Return the approximate maximum time of compiling an expression, in microseconds."""
    if len(expression) > _MAX_CHARACTERS:
        return 0  # it is never compiled
    states = min(_states(expression), _MAX_STATES)
    return 200 + states * (_WIDE_COST if _WIDE.search(expression) else 1)


@lru_cache(maxsize=256)
def pattern(expression: str) -> Pattern:
    """Return a compiled expression; recent ones are cached."""
    return Pattern(expression)


def _states(expression: str) -> int:
    """Return the number of single characters in an expression, with all repetitions written out."""
    if len(expression) > _MAX_CHARACTERS:
        return len(expression)
    groups, last = [0], 0
    for part in _PART.finditer(expression):
        if part[0] == "(":
            groups.append(0)
        elif part[0] == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif part["least"]:
            times = max(int(part["least"]), int(part["most"] or 0), 1)
            groups[-1] += last * (times - 1)
            last *= times
        elif part[0] not in "*+?|^$":
            last = 1
            groups[-1] += 1
    return sum(groups)


def _is_sound(expression: str) -> bool:
    """Return whether an expression is valid, with each counted repetition reduced to one."""
    once = "".join("{1}" if part["least"] else part[0] for part in _PART.finditer(expression))
    return _backtracking(once, 10) is not None


def _backtracks(length: int) -> int:
    """Return the limit of backtracks for a text: a power of two, so that engines can be cached."""
    most = min(100 + 4 * length, _BACKTRACKS // max(length, 1))
    return 1 << most.bit_length() >> 1


def _engines() -> Any:
    import jsonschema_rs  # noqa: PLC0415 - slow to import, and only some schemas need it

    return jsonschema_rs


def _linear(expression: str) -> Any:
    return _compiled(expression, _engines().RegexOptions())


@lru_cache(maxsize=256)
def _backtracking(expression: str, limit: int) -> Any:
    return _compiled(expression, _engines().FancyRegexOptions(backtrack_limit=limit))


def _compiled(expression: str, options: Any) -> Any:
    """Return a validator of texts, or None if the engine does not support the expression."""
    try:
        return _engines().Draft4Validator({"pattern": expression}, pattern_options=options)
    except ValueError:
        return None
