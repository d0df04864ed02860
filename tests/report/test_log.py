"""Foreign logging configurations: the error that ends a run is always reported."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.singer import record, schema, state

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.target import Target

HANDLERS = {"handlers": {"a": {"class": "logging.StreamHandler"}}}
ROOT = {"root": {"level": "INFO", "handlers": ["a"]}}
SILENT: dict[str, Any] = {
    "nothing said of existing loggers": HANDLERS | ROOT,
    "existing loggers disabled": HANDLERS | ROOT | {"disable_existing_loggers": True},
    "no handlers": {"root": {"handlers": []}},
    "no root": {},
    "level above errors": HANDLERS | {"root": {"level": "CRITICAL", "handlers": ["a"]}},
    "our logger silenced": HANDLERS
    | ROOT
    | {"loggers": {"target-stitch-import": {"level": "CRITICAL", "propagate": False}}},
    "incremental": {"incremental": True, "root": {"level": "ERROR"}},
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "logging.yaml"
    monkeypatch.setenv("SINGER_SDK_LOG_CONFIG", str(path))
    return path


@pytest.mark.parametrize("name", SILENT)
def test_the_error_that_ends_a_run_is_logged(target: Target, config: Path, name: str) -> None:
    config.write_text(json.dumps({"version": 1} | SILENT[name]))
    outcome = target.run([schema(), record(1), state(1), "junk"])
    assert (outcome.status, outcome.states) == (65, ["1"])
    assert outcome.log.count("Line 4 is not JSON") == 1
    outcome = target.run([], batch_size_rows=0)
    assert (outcome.status, outcome.log.count("Setting `batch_size_rows`")) == (78, 1)


def test_messages_are_logged_if_the_configuration_disables_existing_loggers(
    target: Target, config: Path
) -> None:
    config.write_text(json.dumps({"version": 1} | HANDLERS | ROOT))
    assert "Stream `people`: 1 read" in target.run([schema(), record(1), state(1)]).log


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"5",
        b"[1]",
        b"version: 1\n  bad: [",
        b"version: 2",
        b"\xff\xfe\x00",
        b"\x00",
        b"[" * 100_000,
        b"version: 1\nroot: 5",
        b"version: 1\nroot: {handlers: [nowhere]}",
        b"version: 1\nhandlers: {a: {class: no.such.Thing}}",
        b"version: 1\nhandlers: {a: {(): builtins.len}}",
        b"version: 1\nhandlers: {a: {class: logging.FileHandler, filename: no/where}}",
        b"version: 1\nformatters: 7",
        b"version: 1\nloggers: {a: {level: LOUD}}",
        b"!!python/object/apply:os.system ['true']",
        b"a: &a [*a]",
    ],
    ids=lambda text: text[:40].decode("latin-1"),
)
def test_an_unusable_logging_configuration_is_reported(
    target: Target, config: Path, text: bytes
) -> None:
    config.write_bytes(text)
    outcome = target.run([schema(), record(1), state(1)])
    assert (outcome.status, outcome.states) == (78, [])
    assert "(SINGER_SDK_LOG_CONFIG) cannot be used" in outcome.log


@pytest.mark.parametrize(("kind", "words"), [("fifo", "a FIFO"), ("folder", "a folder")])
def test_a_logging_configuration_that_is_not_a_file_is_refused(
    target: Target, config: Path, kind: str, words: str
) -> None:
    if kind == "fifo":
        os.mkfifo(config)
    else:
        config.mkdir()
    outcome = target.run([schema(), record(1), state(1)])
    assert (outcome.status, words in outcome.log) == (78, True)
