"""Regular expressions of schemas, in engines whose work has a bound that is known beforehand.

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
"""What a check may cost; a step is about a microsecond."""

_PER_STEP = 50
"""Characters times states of an expression that the linear engine takes in a step, at its worst."""
_PER_BACKTRACK_STEP = 500
_BACKTRACKS = 50_000_000
"""Characters times backtracks that the other engine may come to."""
_MOST_STATES = 20_000
_LONGEST = 10 * _MOST_STATES
"""Characters of an expression that is worth a look: a place takes one at least."""

MAX_PATTERN_COST = 500_000
"""What the expressions of a schema may cost to be made ready, by `making_cost`."""
_WIDE = re.compile(r"\\[pP]|\(\?[=!<].*\\[wWdDsSbB]|\\[wWdDsSbB].*\(\?[=!<]", re.DOTALL)
"""Classes of Unicode. In the engine that cannot backtrack, `\\w` and its like are ASCII."""
_WIDE_COST = 700


class TooCostlyError(Exception):
    """A check has come to its bound, and says neither yes nor no."""


class Pattern:
    """A regular expression.

    `is_known` tells whether there is an engine that takes it, and `is_sound` whether there would be
    one for any size; `is_linear` whether it is the one that cannot backtrack. `states` is about how
    many states it can be in at once.
    """

    def __init__(self, expression: str) -> None:
        self.states = _states(expression)
        self._expression = expression
        is_small = self.states <= _MOST_STATES
        self._linear = _linear(expression) if is_small else None
        self.is_linear = self._linear is not None
        self.is_known = self.is_linear or (is_small and _backtracking(expression, 10) is not None)
        self.is_sound = self.is_known or _is_sound(expression)

    def cost(self, length: int) -> int:
        """Return how many steps a text of so many characters can take."""
        if self.is_linear:
            return 1 + length * self.states // _PER_STEP
        return 1 + length * _backtracks(length) // _PER_BACKTRACK_STEP

    def matches(self, text: str) -> bool:
        """Search `text`, whose cost is within bounds; what no engine takes matches anything.

        Raises:
            TooCostlyError: It would have to backtrack too often.
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


def making_cost(expression: str) -> int:
    """Return about how many microseconds it takes at most to make an expression ready."""
    if len(expression) > _LONGEST:
        return 0  # nobody will
    states = min(_states(expression), _MOST_STATES)
    return 200 + states * (_WIDE_COST if _WIDE.search(expression) else 1)


@lru_cache(maxsize=256)
def pattern(expression: str) -> Pattern:
    """Return an expression, ready to match; recent ones are kept."""
    return Pattern(expression)


def _states(expression: str) -> int:
    """Return how many characters an expression stands for, with all its repetitions, at most."""
    if len(expression) > _LONGEST:
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
    """Return whether an expression is one, each of its repetitions counted once."""
    once = "".join("{1}" if part["least"] else part[0] for part in _PART.finditer(expression))
    return _backtracking(once, 10) is not None


def _backtracks(length: int) -> int:
    """Return how often a search in so many characters may backtrack, in few different figures."""
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
    """Return what checks texts against an expression, or None where the engine does not take it."""
    try:
        return _engines().Draft4Validator({"pattern": expression}, pattern_options=options)
    except ValueError:
        return None
