"""Settings: what is refused before stdin is read, and from where they come."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.config import Settings, from_environment, setting_names
from target_stitch_import.errors import ConfigurationError
from tests.support.singer import record, schema, state
from tests.support.target import TARGET, Target, bodies

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi

SECRET = "at_secret value"  # noqa: S105 - a test's own
REFUSED = [
    ({}, "token"),
    ({"token": ""}, "token"),
    ({"token": "a\nb"}, "token"),
    ({"token": SECRET}, "token"),
    ({"token": "tök"}, "token"),
    ({"token": 5}, "token"),
    ({"region": "mars"}, "region"),
    ({"client_id": "12a"}, "client_id"),
    ({"client_id": 1.5}, "client_id"),
    ({"api_url": "http://example.com"}, "api_url"),
    ({"api_url": "ftp://127.0.0.1"}, "api_url"),
    ({"api_url": "127.0.0.1:80"}, "api_url"),
    ({"api_url": "https://u:p@example.com"}, "api_url"),
    ({"api_url": "https://example.com:x"}, "api_url"),
    ({"api_url": "https://exa mple.com"}, "api_url"),
    ({"api_url": "https://.example.com"}, "api_url"),
    ({"request_timeout_seconds": 1e10}, "request_timeout_seconds"),
    ({"flattening_enabled": True}, "flattening_max_depth"),
    ({"small_batch_url": "http://example.com/v2/import/batch"}, "small_batch_url"),
    ({"big_batch_url": "http://example.com/v2/import/batch"}, "big_batch_url"),
    ({"batch_size_rows": 0}, "batch_size_rows"),
    ({"batch_size_rows": 20_001}, "batch_size_rows"),
    ({"batch_size_rows": "5"}, "batch_size_rows"),
    ({"batch_size_bytes": 20_000_001}, "batch_size_bytes"),
    ({"batch_delay_seconds": -1}, "batch_delay_seconds"),
    ({"max_in_flight_requests": 0}, "max_in_flight_requests"),
    ({"request_timeout_seconds": 0}, "request_timeout_seconds"),
    ({"max_retry_seconds": "long"}, "max_retry_seconds"),
    ({"validate_records": "yes"}, "validate_records"),
    ({"on_invalid_record": "ignore"}, "on_invalid_record"),
    ({"on_invalid_record": "dead_letter"}, "dead_letter_path"),
    ({"naive_datetimes": "local"}, "naive_datetimes"),
    ({"load_method": "overwrite"}, "load_method"),
    ({"client_id": -5}, "client_id"),
    ({"client_id": 0}, "client_id"),
    ({"client_id": "0"}, "client_id"),
    ({"client_id": "\u0667"}, "client_id"),
    ({"client_id": "-5"}, "client_id"),
    ({"turbo_boost_factor": 0}, "turbo_boost_factor"),
    ({"batch_size_preferences": 5}, "batch_size_preferences"),
    ({"batch_size_preferences": {"full_table_streams": "x"}}, "batch_size_preferences"),
    ({"batch_size_preferences": {"full_table_streams": [1]}}, "batch_size_preferences"),
]


@pytest.mark.parametrize(("config", "name"), REFUSED)
def test_what_cannot_work_is_refused_by_name(config: dict[str, Any], name: str) -> None:
    given = {"token": "t"} | config if config else {}
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(given)
    assert f"`{name}`" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [
        {"token": "t", "client_id": "123", "api_url": "https://example.com/"},
        {"token": "t", "client_id": 123, "api_url": "http://localhost:80"},
        {"token": "t", "api_url": "http://[::1]:8087", "load_method": "append-only"},
        {"token": "t", "summary_path": None, "unknown_setting": 1},
        {"region": "local"},
    ],
)
def test_what_can_work_is_taken(config: dict[str, Any]) -> None:
    assert Settings.load(config)


def test_a_dry_run_needs_no_token() -> None:
    assert Settings.load({}, dry_run=True).token is None


@pytest.mark.parametrize(
    ("config", "url", "big_url"),
    [
        ({}, "https://api.stitchdata.com/v2/import/batch", ""),
        ({"region": "eu"}, "https://api.eu-central-1.stitchdata.com/v2/import/batch", ""),
        ({"api_url": "https://example.com/"}, "https://example.com/v2/import/batch", ""),
        (
            {"small_batch_url": "https://a.example/x", "big_batch_url": "https://b.example/y"},
            "https://a.example/x",
            "https://b.example/y",
        ),
        ({"small_batch_url": "https://a.example/x"}, "https://a.example/x", ""),
    ],
)
def test_where_batches_go(config: dict[str, Any], url: str, big_url: str) -> None:
    endpoint = Settings.load({"token": "t"} | config).endpoint("agent")
    assert (endpoint.url, endpoint.big_url) == (url, big_url or url)


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        ("https://a.example/v2/import/batch", "https://a.example"),
        ("https://a.example/v2/import/batch/", "https://a.example"),
        ("https://a.example/in/v2/import/batch", "https://a.example/in"),
        ("https://a.example/v2/import/batch?x=1", "https://a.example"),
        ("https://a.example:8443/other", "https://a.example:8443"),
    ],
)
def test_where_the_other_paths_are(url: str, base_url: str) -> None:
    assert Settings.load({"token": "t", "small_batch_url": url}).endpoint("").base_url == base_url


@pytest.mark.parametrize("option", ["--help", "--version", "--about"])
def test_a_full_stdout_is_an_output_error(tmp_path: Path, option: str) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [*TARGET, option],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
    assert (done.returncode, "Internal" in done.stderr) == (74, False)
    assert "Stdout cannot be written to: No space left on device." in done.stderr


def test_a_misspelt_setting_is_told(target: Target) -> None:
    """And no more than told; what is like no setting is another program's."""
    outcome = target.run([], api_ulr="x", MAX_RETRY_SECONDS=1, something_else=2)
    assert outcome.status == 0
    assert "`api_ulr` is not known, and does nothing. Is `api_url` meant?" in outcome.log
    assert "Is `max_retry_seconds` meant?" in outcome.log
    assert "something_else" not in outcome.log


def test_a_target_stitch_configuration_works_unchanged(target: Target, api: ImportApi) -> None:
    del target.config["api_url"]
    settings = {
        "client_id": 1234,
        "small_batch_url": f"{api.url}/v2/import/batch",
        "big_batch_url": f"{api.url}/v2/import/batch",
        "batch_size_preferences": {"full_table_streams": ["x"], "user_batch_size_preference": None},
        "turbo_boost_factor": 2,
        "disable_collection": True,
    }
    outcome = target.run([schema(), record(1), state(1)], **settings)
    assert (outcome.status, outcome.states) == (0, ["1"])
    assert len(bodies(api)) == 1


@pytest.mark.parametrize(
    ("preferences", "urls"),
    [
        ({"full_table_streams": ["large"]}, {"people": "small", "large": "big"}),
        ({"full_table_streams": []}, {"people": "small", "large": "small"}),
        ({"full_table_streams": None}, {"people": "small", "large": "small"}),
        ({}, {"people": "small", "large": "small"}),
    ],
)
def test_batches_of_full_table_streams_go_to_the_big_batch_url(
    target: Target, api: ImportApi, preferences: dict[str, Any], urls: dict[str, str]
) -> None:
    del target.config["api_url"]
    names = {"127.0.0.1": "small", "localhost": "big"}  # one service by two names
    settings = {
        "small_batch_url": f"{api.url}/v2/import/batch",
        "big_batch_url": f"{api.url}/v2/import/batch".replace("127.0.0.1", "localhost"),
        "batch_size_preferences": preferences,
    }
    messages = [schema(), schema("large"), record(1), record(2, "large"), state(1)]
    assert target.run(messages, **settings).states == ["1"]
    taken = {
        json.loads(each["body"])["table_name"]: names[each["headers"]["host"].partition(":")[0]]
        for each in api.requests()
    }
    assert taken == urls


def test_every_setting_comes_from_the_environment() -> None:
    example = {
        "int": "5",
        "float": "1.5",
        "bool": "true",
        "dict": '{"a": 1}',
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


def test_types_in_the_environment() -> None:
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


def run(*options: str, folder: Path, environment: dict[str, str]) -> tuple[int, str, str]:
    done = subprocess.run(
        [*TARGET, *options],
        input=b'{"type":"STATE","value":1}\n',
        capture_output=True,
        check=False,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"} | environment,
        timeout=30,
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_files_the_environment_and_dot_env_together(tmp_path: Path) -> None:
    """Later files win, `ENV` wins where it stands, and the real environment over `.env`."""
    (tmp_path / "a.json").write_text(json.dumps({"token": "t", "batch_size_rows": 99_999}))
    (tmp_path / "b.json").write_text(json.dumps({"batch_size_rows": 10}))
    (tmp_path / ".env").write_text("TARGET_STITCH_IMPORT_REGION=mars\n")
    good = {"TARGET_STITCH_IMPORT_REGION": "eu"}
    base = ("--config", "a.json", "-c", "b.json")
    assert run(*base, folder=tmp_path, environment={})[:2] == (0, "1\n")
    assert run(*base, "-c", "ENV", folder=tmp_path, environment=good)[:2] == (0, "1\n")
    status, _, log = run(*base, "-c", "ENV", folder=tmp_path, environment={})
    assert (status, "TARGET_STITCH_IMPORT_REGION cannot be used" in log) == (78, True)
    status, _, log = run("-c", "a.json", folder=tmp_path, environment={})
    assert (status, "`batch_size_rows`" in log) == (78, True)
    assert run("-c", "a.json", "--max-batch-records", "5", folder=tmp_path, environment={})[0] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-c", "nowhere.json"), "nowhere.json cannot be read"),
        (("-c", "list.json"), "not a JSON object"),
        (("-c", "broken.json"), "not a JSON object"),
        (("--no-such-option",), "No such option"),
        (("--max-batch-records", "many"), "not a valid integer"),
        (("--input", "nowhere.singer"), "nowhere.singer"),
        ((), "`token` is missing"),
    ],
)
def test_a_command_line_that_cannot_work(
    tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "broken.json").write_text('{"token": ')
    status, states, log = run(*options, folder=tmp_path, environment={})
    assert (status, states) == (78, "")
    assert words in log


def test_the_sdk_s_logging_configuration_is_taken(tmp_path: Path) -> None:
    """As Meltano gives it, for lines that a machine reads."""
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"structured": {"()": "singer_sdk.logging.StructuredFormatter"}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "structured"},
        },
        "root": {"level": "INFO", "handlers": ["stderr"]},
    }
    (tmp_path / "logging.json").write_text(json.dumps(config))
    environment = {"SINGER_SDK_LOG_CONFIG": str(tmp_path / "logging.json")}
    status, out, log = run("--dry-run", folder=tmp_path, environment=environment)
    assert (status, out) == (0, "")
    entries = [json.loads(line) for line in log.splitlines()]
    assert {each["level"] for each in entries} == {"info"}
    status, _, log = run("-n", folder=tmp_path, environment={"SINGER_SDK_LOG_CONFIG": "nowhere"})
    assert (status, "SINGER_SDK_LOG_CONFIG" in log) == (78, True)


def test_help_and_version(tmp_path: Path) -> None:
    status, out, _ = run("--help", folder=tmp_path, environment={})
    assert status == 0
    for option in ("--config", "--input", "--about", "--format", "--version", "--dry-run"):
        assert option in out
    for option in ("-n", "-o", "-v", "-q", "--max-batch-bytes", "--batch-delay-seconds"):
        assert option in out
    status, out, _ = run("--version", folder=tmp_path, environment={})
    assert (status, "0.1.0" in out) == (0, True)
