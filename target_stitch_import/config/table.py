"""The table of settings, from which validation, `--about`, the environment and the docs derive."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from target_stitch_import.errors import quoted
from target_stitch_import.limits import MAX_BODY_BYTES, MAX_MESSAGES

SECRETS = frozenset({"token"})
PATHS = frozenset({"local_database", "dead_letter_path", "batch_root", "summary_path"})
URLS = frozenset({"api_url", "small_batch_url", "big_batch_url"})


def _about(text: str) -> Meta:
    return Meta(description=text)


class Table(Struct, kw_only=True, frozen=True):
    """All settings, with their defaults. The description of each field is shown to users."""

    token: Annotated[
        str | None,
        _about("Import API access token. Required, except for `region: local` and dry runs."),
    ] = None
    client_id: Annotated[
        int | str | None,
        _about(
            "Stitch client ID, the number after `/client/` in the URL of your account. "
            "`stitch-import push` and `validate` need it; the target ignores it."
        ),
    ] = None
    region: Annotated[
        Literal["us", "eu", "local"],
        _about(
            "Data pipeline region of the Stitch account: `us` or `eu`; or `local`, for a local "
            "Import API that the run starts, and that loads into `local_database`."
        ),
    ] = "us"
    api_url: Annotated[
        str | None,
        _about(
            "Base URL to use instead of the region's, such as `http://127.0.0.1:8087`. `http` is "
            "allowed only for the local machine."
        ),
    ] = None
    local_database: Annotated[str, _about("DuckDB file that `region: local` loads into.")] = (
        "stitch-import.duckdb"
    )
    batch_size_rows: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_MESSAGES)],
        _about("Maximum number of messages in a batch."),
    ] = MAX_MESSAGES
    batch_size_bytes: Annotated[
        Annotated[int, Meta(ge=1_000, le=MAX_BODY_BYTES)],
        _about(
            "Maximum size of a request body in bytes. A single larger message is still sent, up "
            "to 20,000,000 bytes."
        ),
    ] = 4_000_000
    batch_delay_seconds: Annotated[
        Annotated[float, Meta(ge=0)],
        _about("Maximum time a record waits in a buffer, in seconds, even while stdin is idle."),
    ] = 60
    max_in_flight_requests: Annotated[
        Annotated[int, Meta(ge=1, le=64)], _about("Maximum number of concurrent requests.")
    ] = 4
    max_buffer_bytes: Annotated[
        Annotated[int, Meta(ge=100_000)],
        _about(
            "Maximum bytes buffered and in flight. When it is reached, the target stops reading "
            "until requests complete."
        ),
    ] = 64_000_000
    request_timeout_seconds: Annotated[
        Annotated[float, Meta(gt=0, le=86_400)],
        _about(
            "Timeout of a request in seconds, from connecting to the last byte of the response, "
            "plus one second per 50 kB of body."
        ),
    ] = 120
    max_retry_seconds: Annotated[
        Annotated[float, Meta(ge=0)],
        _about("Maximum time to retry one batch before the run fails, in seconds."),
    ] = 3600
    validate_records: Annotated[
        bool,
        _about(
            "Validate records and their keys locally before sending. If false, only the Import "
            "API validates them, and isolating an invalid record costs extra requests."
        ),
    ] = True
    on_invalid_record: Annotated[
        Literal["fail", "dead_letter"],
        _about(
            "What to do with a record that is refused, locally or by the service: `fail` ends the "
            "run; `dead_letter` writes the record to `dead_letter_path` and continues."
        ),
    ] = "fail"
    dead_letter_path: Annotated[
        str | None,
        _about(
            "JSON lines file for refused records; required with `on_invalid_record: dead_letter`."
        ),
    ] = None
    dead_letter_limit: Annotated[
        Annotated[int, Meta(ge=0)],
        _about(
            "Maximum number of records set aside in a run; one more ends it with exit status 65."
        ),
    ] = 1000
    naive_datetimes: Annotated[
        Literal["utc", "fail", "keep"],
        _about(
            "What to do with a `date-time` without an offset: `utc` appends `Z` and warns once "
            "per field, `fail` refuses the record, `keep` sends it unchanged. Has no effect with "
            "`validate_records: false`."
        ),
    ] = "utc"
    repairs: Annotated[
        list[
            Literal[
                "nan_to_null",
                "strip_nul",
                "replace_surrogates",
                "round_decimals",
                "invalid_dates_to_null",
                "clamp_dates",
            ]
        ],
        _about(
            "Invalid values to repair instead of refusing the record; each repair is counted in "
            "the summary: `nan_to_null` (NaN and infinities), `strip_nul` (removes U+0000 from "
            "strings), `replace_surrogates` (an unpaired surrogate becomes U+FFFD), "
            "`round_decimals` (to the `multipleOf`, half to even), `invalid_dates_to_null` "
            "(date-times that do not exist), `clamp_dates` (years outside 1 to 9999). With "
            "`validate_records: false`, only `nan_to_null` and `replace_surrogates` are allowed."
        ),
    ] = []
    process_activate_version_messages: Annotated[
        bool, _about("Activate table versions on ACTIVATE_VERSION messages.")
    ] = True
    activate_incomplete_versions: Annotated[
        bool,
        _about(
            "Activate a table version even if records of it were set aside. If false, the "
            "activation is set aside as well, and the table keeps its previous version until the "
            "records are repaired and replayed."
        ),
    ] = False
    table_prefix: Annotated[str | None, _about("Prefix for the name of every table.")] = None
    load_method: Annotated[
        Literal["upsert", "append-only", "overwrite"],
        _about(
            "`upsert` replaces rows by key in streams with key properties; `append-only` sends no "
            "key names, so every record is a new row. `overwrite` is refused: the Import API does "
            "not support it."
        ),
    ] = "upsert"
    stream_maps: Annotated[
        dict[str, Any] | None,
        _about(
            "Stream maps, as in the SDK: aliases, filters, computed and dropped columns. "
            "https://sdk.meltano.com/en/latest/stream_maps.html"
        ),
    ] = None
    stream_map_config: Annotated[
        dict[str, Any] | None, _about("Variables (`config`) for the expressions in `stream_maps`.")
    ] = None
    faker_config: Annotated[
        dict[str, Any] | None,
        _about(
            "Seed and locale of `fake` in the expressions of `stream_maps`; needs the package "
            "`faker`."
        ),
    ] = None
    flattening_enabled: Annotated[
        bool | None,
        _about(
            "Flatten nested objects into columns, as in the SDK. Arrays, and objects below "
            "`flattening_max_depth`, become JSON strings; columns without a type accept any value."
        ),
    ] = None
    flattening_max_depth: Annotated[
        Annotated[int, Meta(ge=0)] | None, _about("Number of levels to flatten.")
    ] = None
    flattening_max_key_length: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        _about("Maximum length of a flattened name (SDK default: 255)."),
    ] = None
    flattening_separator: Annotated[
        str | None, _about("Separator between the parts of a flattened name (SDK default: `__`).")
    ] = None
    batch_root: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        _about(
            "Directory in which the tap writes its batch files, `storage.root` of its "
            "`batch_config`. BATCH messages are accepted only if it is set, and only files within "
            "it are read."
        ),
    ] = None
    summary_path: Annotated[str | None, _about("File for the end-of-run summary, as JSON.")] = None
    small_batch_url: Annotated[
        str | None,
        _about(
            "As in target-stitch: URL for bodies up to 4,000,000 bytes. `api_url` overrides it."
        ),
    ] = None
    big_batch_url: Annotated[
        str | None, _about("As in target-stitch: URL for larger bodies. `api_url` overrides it.")
    ] = None
    batch_size_preferences: Annotated[
        dict[str, Any] | None,
        _about(
            "As in target-stitch: bodies of the streams in its list `full_table_streams` go to "
            "`big_batch_url`, whatever their size."
        ),
    ] = None
    turbo_boost_factor: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        _about("As in target-stitch: overrides `max_in_flight_requests`."),
    ] = None
    disable_collection: Annotated[
        bool | None,
        _about("As in target-stitch; accepted without effect, because no usage data is collected."),
    ] = None

    __repr__ = object.__repr__  # which shows no token


def json_schema() -> dict[str, Any]:
    """Return the settings as a JSON Schema for the SDK and Meltano."""
    properties = msgspec.json.schema_components([Table])[1]["Table"]["properties"]
    for name in SECRETS:
        properties[name] |= {"secret": True, "writeOnly": True}
    return {"type": "object", "properties": {k: _flat(v) for k, v in properties.items()}}


def _flat(setting: dict[str, Any]) -> dict[str, Any]:
    """Write alternatives of plain types as a list of types, which more tools understand."""
    if "default" in setting and setting["default"] is None:
        del setting["default"]
    alternatives = setting.pop("anyOf", None)
    if alternatives:
        types = [each["type"] for each in alternatives]
        for each in alternatives:
            setting.update({key: value for key, value in each.items() if key != "type"})
        setting["type"] = types
    elif "enum" in setting:
        setting["type"] = "string"
    return setting


def setting_names() -> tuple[str, ...]:
    """Return the names of all settings, in the order in which they are shown."""
    return Table.__struct_fields__


def allowed_values(name: str) -> str:
    """Return the values that a setting can have, joined by `or`; empty if they are not an enum."""
    values = json_schema()["properties"].get(name, {}).get("enum", [])
    return " or ".join(map(quoted, values))
