"""Settings: which are refused before stdin is read, and what the others mean."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.config.settings import Settings
from target_stitch_import.errors import ConfigurationError
from tests.support.singer import record, schema, state
from tests.support.target import Target, bodies

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi

SECRET = "at_secret value"  # noqa: S105 - a test's own
NESTED: dict[str, Any] = {}
for _ in range(100_000):
    NESTED = {"": NESTED}
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
    *(
        ({"repairs": ["nan_to_null", repair], "validate_records": False}, repair)
        for repair in ("strip_nul", "round_decimals", "invalid_dates_to_null", "clamp_dates")
    ),
    ({"client_id": -5}, "client_id"),
    ({"client_id": 0}, "client_id"),
    ({"client_id": "0"}, "client_id"),
    ({"client_id": "\u0667"}, "client_id"),
    ({"client_id": "-5"}, "client_id"),
    ({"turbo_boost_factor": 0}, "turbo_boost_factor"),
    ({"batch_size_preferences": 5}, "batch_size_preferences"),
    ({"batch_size_preferences": {"full_table_streams": "x"}}, "batch_size_preferences"),
    ({"batch_size_preferences": {"full_table_streams": [1]}}, "batch_size_preferences"),
    ({"batch_size_preferences": {"x": "\ud800"}}, "batch_size_preferences"),
    ({"flattening_separator": "\ud800"}, "flattening_separator"),
    ({"stream_maps": {"\udfff": {}}}, "stream_maps"),
    ({"stream_maps": NESTED}, "stream_maps"),
    ({"client_id": "9" * 5_000}, "client_id"),
    ({"client_id": "9" * 5_000 + "a"}, "client_id"),
    ({"max_retry_seconds": float("inf")}, "max_retry_seconds"),
    ({"batch_delay_seconds": float("nan")}, "batch_delay_seconds"),
    ({"max_retry_seconds": 10**400}, "max_retry_seconds"),
    *(
        ({name: path}, name)
        for name in ("local_database", "dead_letter_path", "summary_path", "batch_root")
        for path in ("a\0b", "\ud800", "a/\udc00\ud800")
    ),
    *(
        ({"api_url": url}, "api_url")
        for url in ("https://[", "https://\ud800.com", "https://a:1e9")
    ),
]


@pytest.mark.parametrize(("config", "name"), REFUSED)
def test_an_invalid_setting_is_refused_by_name(config: dict[str, Any], name: str) -> None:
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
def test_a_valid_configuration_is_accepted(config: dict[str, Any]) -> None:
    assert Settings.load(config)


def test_a_token_can_be_optional() -> None:
    assert Settings.load({}, needs_token=False).token is None


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
def test_the_batch_urls_follow_from_the_settings(
    config: dict[str, Any], url: str, big_url: str
) -> None:
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
def test_the_base_url_follows_from_the_batch_url(url: str, base_url: str) -> None:
    assert Settings.load({"token": "t", "small_batch_url": url}).endpoint("").base_url == base_url


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
