"""Hostile values of every setting, header and number: never status 70, never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from target_stitch_import.config.table import setting_names
from tests.soak.values import (
    NUMBERS,
    REPAIRS,
    RULES,
    SPELLINGS,
    answers,
    try_answers,
    try_number,
    try_setting,
)
from tests.support.singer import record, schema, state

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi
    from tests.support.target import Target


@pytest.mark.parametrize("name", setting_names())
def test_any_value_of_a_setting_is_accepted_or_refused(name: str) -> None:
    for spelling in SPELLINGS:
        try_setting(name, spelling)
        if spelling.startswith('"'):
            try_setting(name, spelling, by_environment=True)


def test_any_answer_has_a_verdict() -> None:
    try_answers(list(answers()))


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_any_number_is_sent_or_refused(rules: dict[str, object]) -> None:
    for text in NUMBERS:
        for repairs in REPAIRS:
            try_number(text, rules, repairs)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("batch_delay_seconds", value) for value in (0, 5e-324, 1e308)),
        *(("max_retry_seconds", value) for value in (5e-324, 1e308)),
        *(("request_timeout_seconds", value) for value in (5e-324, 86_400)),
        *(("max_buffer_bytes", value) for value in (100_000, 2**63 - 1, 10**18)),
        ("dead_letter_limit", 2**63 - 1),
    ],
)
def test_the_extreme_values_of_a_setting_are_usable(
    target: Target, api: ImportApi, name: str, value: float
) -> None:
    """They are used as waits and sizes, also when a request is retried."""
    api.set_faults([{"kind": "status", "status": 503}])
    setting_aside = {"on_invalid_record": "dead_letter", "dead_letter_path": "dead.jsonl"}
    settings = {"max_retry_seconds": 2} | setting_aside | {name: value}
    assert target.run([schema(), record(1), state(1)], **settings).status in {0, 69}
