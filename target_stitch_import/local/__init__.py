"""A local Import API for development and tests; it loads what it accepts into DuckDB.

Imports nothing heavy: DuckDB and the web server are imported when one is started.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from target_stitch_import.local.extra import LocalExtraMissingError, require_extra
from target_stitch_import.local.lifetime import Startable
from target_stitch_import.local.options import Options, Strictness
from target_stitch_import.local.server.process import ImportApiProcess, StartError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_stitch_import.local.server.runtime import LocalApi

__all__ = ["ImportApi", "ImportApiProcess", "LocalExtraMissingError", "StartError", "Strictness"]


class ImportApi(Startable):
    """A local Import API inside this process, for tests.

    `database` is a DuckDB file, or None for one in memory that is gone afterwards. `accounts` is
    an accounts file, the same as a mapping, or None to accept any token. `options` are those of
    `options.Options`, such as `kept_bytes=None` to keep every request, `destination="snowflake"`.

    Example:
        with ImportApi() as api:
            requests.post(f"{api.url}/v2/import/batch", ...)
            assert api.query("select count(*) from import_api.customers") == [(1,)]
    """

    def __init__(
        self,
        database: str | Path | None = None,
        accounts: str | Path | Mapping[str, Any] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        region: str | None = None,
        **options: Any,
    ) -> None:
        self._options = Options(
            database=Path(database) if database is not None else None,
            accounts=accounts,
            host=host,
            port=port,
            region=region,
            **options,
        )
        self._api: LocalApi | None = None

    def start(self) -> None:
        """Start serving. Raises LocalExtraMissingError before anything is started."""
        require_extra()
        from target_stitch_import.local.server.runtime import LocalApi  # noqa: PLC0415 - heavy

        self._api = LocalApi(self._options)
        self._api.start()

    def close(self) -> None:
        """Stop serving and close the database."""
        if self._api is not None:
            self._api.close()
            self._api = None

    @property
    def url(self) -> str:
        """The base URL, such as `http://127.0.0.1:54321`."""
        return self._running().url

    def set_faults(self, faults: list[dict[str, Any]]) -> None:
        """Replace the list of faults, as `PUT /_local/faults` does."""
        self._running().faults.put(faults)

    def requests(self) -> list[dict[str, Any]]:
        """Return the accepted requests verbatim, in order of arrival."""
        return [kept.as_json() for kept in self._running().journal.requests()]

    def reset(self) -> None:
        """Restore the initial state: no tables, requests or faults."""
        self._running().reset()

    def tables(self) -> list[dict[str, Any]]:
        """Return each table's schema, name, number of rows, and types by column."""
        return self._running().warehouse.summary()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement in the warehouse and return its rows."""
        return self._running().warehouse.query(sql)

    def _running(self) -> LocalApi:
        if self._api is None:
            raise RuntimeError("the local Import API is not running")
        return self._api
