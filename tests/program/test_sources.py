"""Configuration files, the environment and `.env`: which one wins, and their errors."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from target_stitch_import.cli import command
from target_stitch_import.config.settings import Settings
from target_stitch_import.config.sources import from_environment, read_config
from target_stitch_import.config.table import setting_names
from target_stitch_import.config.unknown import INSTEAD
from target_stitch_import.errors import ConfigurationError
from tests.support.command_line import run_over_a_state
from tests.support.singer import state

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.target import Target


UNKNOWN = {
    "api_ulr": " Is `api_url` meant?",
    "MAX_RETRY_SECONDS": " Is `max_retry_seconds` meant?",
    "batch_rows": " Is `batch_size_rows` meant?",
    "something_else": "",
    "max_batch_records": " Instead: `batch_size_rows`.",
    "dry_run": " Instead: the option --dry-run.",
    "add_record_metadata": " Instead: Stitch adds columns of its own, such as `_sdc_batched_at`.",
    "hard_delete": " Instead: rows are deleted by ACTIVATE_VERSION alone "
    "(`process_activate_version_messages`).",
    "default_target_schema": " Instead: the schema is that of the integration in Stitch.",
    "Parallelism": " Instead: `max_in_flight_requests`.",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_setting_is_reported(tmp_path: Path, name: str) -> None:
    """In files and in the environment, with a suggestion; and it has no other effect."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"token": "t", name: "S3CRET"}))
    notes: list[str] = []
    assert read_config([str(path)], notes.append)["token"] == "t"  # noqa: S105 - a test's own
    assert notes == [f"Unknown setting `{name}` is ignored.{UNKNOWN[name]}"]
    variable = f"TARGET_STITCH_IMPORT_{name.upper()}"
    if name.lower() not in setting_names():
        notes.clear()
        assert from_environment({variable: "S3CRET"}, notes.append) == {}
        about = f"Unknown environment variable `{variable}` is ignored."
        assert notes == [about + UNKNOWN[name]]


def test_the_replacement_of_a_setting_exists() -> None:
    """And the replaced name is not a setting."""
    assert not set(INSTEAD) & set(setting_names())
    named = {name for text in INSTEAD.values() for name in re.findall(r"`([a-z]\w*)`", text)}
    assert named <= set(setting_names())
    options = {option for each in command.params for option in each.opts}
    assert set(re.findall(r"--[\w-]+", " ".join(INSTEAD.values()))) <= options


def test_a_run_warns_about_unknown_settings_and_continues(target: Target) -> None:
    outcome = target.run([state(1)], api_ulr="x")
    assert (outcome.status, outcome.states) == (0, ["1"])
    assert "WARNING" in outcome.log
    assert "Unknown setting `api_ulr` is ignored. Is `api_url` meant?" in outcome.log


@pytest.mark.parametrize("name", ["LOGLEVEL", "_DIALECT", "_TARGET_SCHEMA"])
def test_variables_of_other_programs_are_not_reported(name: str) -> None:
    """The SDK's variable for the log level, and Meltano's own for a loader."""
    notes: list[str] = []
    assert from_environment({f"TARGET_STITCH_IMPORT_{name}": "x"}, notes.append) == {}
    assert notes == []


INLINE = "The configuration is on the command line, where other users can see it."
FAULTS = {
    "broken": (
        b'{\n  "token": "S3CRET"\n  "region": "us"\n}',
        "is not JSON: expecting ',' delimiter, at line 3, column 3.",
    ),
    "cut off": (b'{"token": "S3CRET', "is not JSON: unterminated string starting at, at line 1,"),
    "empty": (b"", "is not JSON: expecting value, at line 1, column 1."),
    "no text": (b'{"token": "S3CRET\xff"}', "is not JSON: it is not UTF-8, at byte 18."),
    "a long number": (
        b'{"client_id": %s}' % (b"9" * 5_000),
        "is not JSON: it contains a number that is too long.",
    ),
    "a list": (b'["S3CRET"]', "is not a JSON object."),
    "nested": (b'{"stream_maps": ' + b"[" * 100_000, "is nested too deeply."),
    "nested objects": (b'{"a":' * 100_000, "is nested too deeply."),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_invalid_configuration_file_is_reported_with_its_place(
    tmp_path: Path, fault: str
) -> None:
    text, words = FAULTS[fault]
    (tmp_path / "config.json").write_bytes(text)
    status, states, log = run_over_a_state(
        "--config", "config.json", folder=tmp_path, environment={}
    )
    assert (status, states) == (78, "")
    assert f"The configuration config.json {words}" in log
    assert "S3CRET" not in log


@pytest.mark.parametrize(
    "given",
    [
        '{"token": "S3CRET"}',
        ' {"token": "S3CRET", "stream_maps": {' + '"x": 1,' * 1_000,
        "token=S3CRET",
        '"token": "S3CRET"',
        "token: S3CRET\nregion: us",
    ],
)
def test_a_configuration_on_the_command_line_is_not_repeated_in_the_error(
    tmp_path: Path, given: str
) -> None:
    for options in (("--config", given), (f"-c{given}",), ("-c", "ENV", "-c", given)):
        status, _, log = run_over_a_state(*options, folder=tmp_path, environment={})
        assert (status, INLINE in log) == (78, True)
        assert "S3CRET" not in log
    status, _, log = run_over_a_state(given, folder=tmp_path, environment={})
    assert (status, "S3CRET" in log) == (78, False)
    assert "Unexpected argument on the command line." in log


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"REGION": "EU"},
            "REGION cannot be used: it must be `eu` or `local` or `us`.",
        ),
        ({"BATCH_SIZE_ROWS": "many"}, "BATCH_SIZE_ROWS cannot be used: Expected `int`"),
        ({"STREAM_MAPS": "[" * 100_000}, "STREAM_MAPS is nested too deeply."),
        ({"STREAM_MAPS": "{S3CRET"}, "STREAM_MAPS cannot be used: "),
    ],
)
def test_an_invalid_environment_variable_is_named(
    tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    given = {f"TARGET_STITCH_IMPORT_{name}": text for name, text in variables.items()}
    status, _, log = run_over_a_state("--config", "ENV", folder=tmp_path, environment=given)
    assert (status, "S3CRET" in log) == (78, False)
    assert f"The environment variable TARGET_STITCH_IMPORT_{words}" in log


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"TARGET_STITCH_IMPORT_TOKEN=S3CRET\xff\n", "The file .env is not UTF-8, at byte 34."),
        (b"TARGET_STITCH_IMPORT_REGION=mars\n", "it must be `eu` or `local` or `us`."),
        (b"TARGET_STITCH_IMPORT_TOKNE=S3CRET\n", "Is `token` meant?"),
    ],
)
def test_an_invalid_dot_env_file_is_reported(tmp_path: Path, text: bytes, words: str) -> None:
    (tmp_path / ".env").write_bytes(text)
    status, _, log = run_over_a_state("--config", "ENV", folder=tmp_path, environment={})
    assert (status, "S3CRET" in log) == (78, False)
    assert words in log


def test_every_setting_comes_from_the_environment() -> None:
    example = {
        "int": "5",
        "float": "1.5",
        "bool": "true",
        "dict": '{"a": 1}',
        "list": '["nan_to_null"]',
    }
    for name in setting_names():
        for text in ("us", *example.values(), "append-only", "fail", "7"):
            try:
                config = from_environment({f"TARGET_STITCH_IMPORT_{name.upper()}": text})
            except ConfigurationError as error:
                assert f"TARGET_STITCH_IMPORT_{name.upper()}" in str(error)  # noqa: PT017 - some fit
            else:
                assert list(config) == [name]
                break
        else:
            pytest.fail(f"no text fits {name}")


def test_environment_variables_are_converted_to_their_types() -> None:
    environment = {
        "TARGET_STITCH_IMPORT_TOKEN": "12345",
        "TARGET_STITCH_IMPORT_BATCH_SIZE_ROWS": "10",
        "TARGET_STITCH_IMPORT_VALIDATE_RECORDS": "false",
        "TARGET_STITCH_IMPORT_BATCH_DELAY_SECONDS": "0.5",
        "TARGET_STITCH_IMPORT_CLIENT_ID": "77",
        "TARGET_STITCH_IMPORT_API_URL": "",
        "OTHER": "x",
    }
    settings = Settings.load(from_environment(environment))
    assert settings.token == "12345"  # noqa: S105 - a test's own
    assert (settings.batch_size_rows, settings.validate_records) == (10, False)
    assert (settings.batch_delay_seconds, settings.client_id) == (0.5, "77")


def test_files_the_environment_and_dot_env_together(tmp_path: Path) -> None:
    """Later files and a later `ENV` win, and the real environment wins over `.env`."""
    (tmp_path / "a.json").write_text(json.dumps({"token": "t", "batch_size_rows": 99_999}))
    (tmp_path / "b.json").write_text(json.dumps({"batch_size_rows": 10}))
    (tmp_path / ".env").write_text("TARGET_STITCH_IMPORT_REGION=mars\n")
    good = {"TARGET_STITCH_IMPORT_REGION": "eu"}
    base = ("--config", "a.json", "-c", "b.json")
    assert run_over_a_state(*base, folder=tmp_path, environment={})[:2] == (0, "1\n")
    assert run_over_a_state(*base, "-c", "ENV", folder=tmp_path, environment=good)[:2] == (0, "1\n")
    status, _, log = run_over_a_state(*base, "-c", "ENV", folder=tmp_path, environment={})
    assert (status, "TARGET_STITCH_IMPORT_REGION cannot be used" in log) == (78, True)
    status, _, log = run_over_a_state("-c", "a.json", folder=tmp_path, environment={})
    assert (status, "`batch_size_rows`" in log) == (78, True)
    assert (
        run_over_a_state(
            "-c", "a.json", "--max-batch-records", "5", folder=tmp_path, environment={}
        )[0]
        == 0
    )
