"""The settings of a run: checks their values and combinations, and derives what the run needs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from target_stitch_import.config.checks import (
    check_client_id,
    check_json,
    check_path,
    check_token,
    check_url,
)
from target_stitch_import.config.table import (
    PATHS,
    SECRETS,
    URLS,
    Table,
    allowed_values,
    setting_names,
)
from target_stitch_import.endpoints import BATCH_PATH, REGION_URLS, Endpoint
from target_stitch_import.errors import ConfigurationError
from target_stitch_import.names import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOUND_BY_CHECKS = frozenset(
    {"strip_nul", "round_decimals", "invalid_dates_to_null", "clamp_dates"}
)
"""Repairs of values that only validation finds."""


class Settings(Table, kw_only=True, frozen=True):
    """The settings of one configuration."""

    @classmethod
    def load(cls, config: Mapping[str, Any], *, needs_token: bool = True) -> Settings:
        """Return the settings of a configuration.

        Raises:
            ConfigurationError: A setting is invalid; the text names it and contains no secret.
        """
        given = {name: value for name, value in config.items() if value is not None}
        for name in given.keys() & set(setting_names()) - {*PATHS, *URLS, *SECRETS}:
            check_json(name, given[name])
        try:
            settings = msgspec.convert(given, cls)
        except msgspec.ValidationError as error:
            what, _, where = str(error).partition(" - at `$")
            name = where.strip("`.") or "configuration"
            if allowed := allowed_values(name):
                what = f"it must be {allowed}"
            raise ConfigurationError(f"Setting `{name}` is invalid: {what}.") from None
        settings.check(needs_token=needs_token)
        return settings

    def check(self, *, needs_token: bool) -> None:
        """Check the values of the settings, and their combinations.

        Raises:
            ConfigurationError: A setting is invalid, missing, or in conflict with another.
        """
        self._check_values()
        if self.load_method == "overwrite":
            raise ConfigurationError(
                "Setting `load_method` cannot be `overwrite`: the Import API cannot overwrite a "
                "table. Use `upsert` or `append-only`."
            )
        if self.on_invalid_record == "dead_letter" and not self.dead_letter_path:
            raise ConfigurationError(
                "Setting `dead_letter_path` is missing: `on_invalid_record: dead_letter` needs a "
                "file for the records that are set aside."
            )
        unchecked = () if self.validate_records else _FOUND_BY_CHECKS.intersection(self.repairs)
        if unchecked:
            raise ConfigurationError(
                f"Setting `repairs` cannot contain `{min(unchecked)}` with `validate_records: "
                "false`: only validation finds such values."
            )
        if self.flattening_enabled and self.flattening_max_depth is None:
            raise ConfigurationError(
                "Setting `flattening_max_depth` is missing: `flattening_enabled` needs it."
            )
        if not _is_list_of_texts(self._full_table_streams):
            raise ConfigurationError(
                "Setting `batch_size_preferences` must have a list of names as its "
                "`full_table_streams`."
            )
        if needs_token and self.token is None and self.region != "local":
            raise ConfigurationError(
                "Setting `token` is missing: create an Import API integration in Stitch, and "
                f"give its access token as `token`, or as {TOKEN_VARIABLE} with "
                "`--config ENV`."
            )

    def _check_values(self) -> None:
        for name in setting_names():
            value = getattr(self, name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigurationError(f"Setting `{name}` must be a finite number.")
            if name in PATHS and value is not None:
                check_path(name, value)
            elif name in URLS and value:
                check_url(name, value)
        if self.client_id is not None:
            check_client_id(self.client_id)
        if self.token is not None:
            check_token(self.token)

    @property
    def requests_at_once(self) -> int:
        """The maximum number of requests in flight, from whichever of two settings is used."""
        return self.turbo_boost_factor or self.max_in_flight_requests

    def with_requests_at_once(self, count: int) -> Settings:
        """Return the same settings with at most `count` requests in flight."""
        return msgspec.structs.replace(self, max_in_flight_requests=count, turbo_boost_factor=None)

    @property
    def dead_letters(self) -> str | None:
        """The dead-letter file; None if a refused record ends the run."""
        return self.dead_letter_path if self.on_invalid_record == "dead_letter" else None

    @property
    def starts_local_api(self) -> bool:
        """Return whether a local Import API is to be started for the run."""
        return self.region == "local" and not (self.api_url or self.small_batch_url)

    @property
    def _full_table_streams(self) -> Any:
        return (self.batch_size_preferences or {}).get("full_table_streams") or []

    def endpoint(self, user_agent: str, local_url: str = "") -> Endpoint:
        """Return where batches are sent; `local_url` is the URL of a started local Import API."""
        base = self.api_url or local_url or REGION_URLS.get(self.region, "")
        batch_url = base.rstrip("/") + BATCH_PATH
        small_url = batch_url if self.api_url else self.small_batch_url or batch_url
        big_url = batch_url if self.api_url else self.big_batch_url or small_url
        return Endpoint(
            url=small_url,
            big_url=big_url,
            token=self.token or "local",
            request_timeout_seconds=self.request_timeout_seconds,
            user_agent=user_agent,
            big_streams=frozenset(self._full_table_streams),
        )


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
