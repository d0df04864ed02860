"""Answers the Import API's requests, in the API's order of checks; no sockets, no waiting.

`route` needs only the request's head, `handle` the whole request; a 201 is returned only after the
warehouse has committed the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol

from target_stitch_import.local.api import answers, connect
from target_stitch_import.local.api.accounts import Accounts, Denied, Source, bearer
from target_stitch_import.local.api.answers import Answer
from target_stitch_import.local.api.batch import Load, RefusedError, read_batch
from target_stitch_import.local.api.connect_stubs import Destination
from target_stitch_import.local.api.faults import (
    BATCH_PATH,
    PUSH_PATH,
    STATUS_PATH,
    VALIDATE_PATH,
    tables_of,
)
from target_stitch_import.local.api.journal import Stored
from target_stitch_import.local.api.push import read_push
from target_stitch_import.local.api.values import MalformedError

if TYPE_CHECKING:
    from target_stitch_import.local.api.request import Request
    from target_stitch_import.local.options import Strictness

METHODS = {STATUS_PATH: "GET", BATCH_PATH: "POST", PUSH_PATH: "POST", VALIDATE_PATH: "POST"}
JSON = "application/json"
TRANSIT = "application/transit+json"
GZIP = b"\x1f\x8b"
ENCODED = (
    "The body is compressed, and the Import API documents no Content-Encoding: send the JSON as it"
    " is."
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer, and details of the request for the web page."""

    answer: Answer
    tables: tuple[str, ...] = ()
    records: int = 0
    rejected: int = 0
    notes: tuple[str, ...] = ()
    """What the client's author should know, although the request was accepted."""
    by_fault: bool = False
    """Whether the answer is a fault's, so that the request was neither checked nor stored."""
    stored: tuple[Stored, ...] = ()
    """The records that were stored, by table."""


class Loaded(Protocol):
    """The result of one load."""

    @property
    def rejected(self) -> int:
        """Rows written to `_sdc_rejected`."""


class Loader(Protocol):
    """The warehouse, as the service uses it."""

    @property
    def destination_type(self) -> str:
        """Connect's name for the type of destination."""

    def streams(self, source_name: str) -> list[tuple[str, tuple[str, ...]]]:
        """Return the tables that arrived for a source, named as sent, with their keys."""

    def load(self, source_name: str, loads: list[Load], received_at: datetime) -> Loaded:
        """Store `loads` of a source durably in one transaction, or raise."""


class Service:
    """The Import API: checks requests by the accounts, and loads them into a warehouse."""

    def __init__(
        self,
        accounts: Accounts,
        loader: Loader,
        strictness: Strictness,
        max_body_bytes: int,
    ) -> None:
        self.accounts = accounts
        self.max_body_bytes = max_body_bytes
        self._loader = loader
        self._strictness = strictness

    def route(self, method: str, path: str) -> Answer | None:
        """Return the answer to an unknown path, a wrong method or OPTIONS; None for the rest."""
        if path not in METHODS:
            return answers.NOT_FOUND
        allowed = ("GET", "HEAD") if METHODS[path] == "GET" else (METHODS[path],)
        if method == "OPTIONS":
            return Answer(204, b"", headers={"allow": ", ".join([*allowed, "OPTIONS"])})
        return None if method in allowed else answers.METHOD_NOT_ALLOWED

    def media(self, request: Request) -> Answer | None:
        """Return the refusal of a media type that the endpoint does not accept, or None."""
        if request.path == STATUS_PATH:
            return None
        if request.path == BATCH_PATH:
            return None if request.media_type == JSON else answers.BATCH_MEDIA_TYPE
        if request.media_type in (JSON, TRANSIT):
            return None
        return answers.push_media_type(request.media_type)

    def handle(self, request: Request) -> Outcome:
        """Answer a request that `route` and `media` let through, and whose size is allowed."""
        try:
            outcome = self._outcome(request)
        except RecursionError:  # valid JSON, but too deep to be loaded; nothing is stored yet
            outcome = Outcome(answers.malformed("nested too deeply"))
        if outcome.answer.accepted or request.path == STATUS_PATH:
            return outcome
        return Outcome(outcome.answer, tuple(sorted(tables_of(request.body))))

    def _outcome(self, request: Request) -> Outcome:
        if request.path == STATUS_PATH:
            return Outcome(answers.health())
        source = self._source(request)
        if isinstance(source, Answer):
            return Outcome(source)
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding != "identity" or request.body.startswith(GZIP):
            return Outcome(answers.malformed(ENCODED))
        if request.path == BATCH_PATH:
            return self._batch(request, source)
        return self._push(request, source)

    def connect(self, request: Request) -> Outcome:
        """Answer a request to Stitch Connect."""
        destination = Destination(self._loader.destination_type, self._loader.streams)
        return Outcome(connect.handle(self.accounts, destination, request))

    def _source(self, request: Request) -> Source | Answer:
        found = self.accounts.find(bearer(request.headers.get("authorization")))
        if not isinstance(found, Denied):
            return found
        if found.reason == "region":
            return answers.INVALID_REGION
        if found.reason == "inactive":
            return answers.CONNECTION_NOT_ACTIVE
        return answers.NOT_AUTHORIZED if request.path == BATCH_PATH else answers.NOT_AUTHENTICATED

    def _batch(self, request: Request, source: Source) -> Outcome:
        received_at = datetime.now(timezone.utc)
        try:
            load = read_batch(request.body, self._strictness)
        except MalformedError as error:
            return Outcome(answers.malformed(str(error)))
        except RefusedError as error:
            return Outcome(answers.batch_error(str(error), error.places))
        loaded = self._loader.load(source.name, [load], received_at)
        return Outcome(
            answers.BATCH_ACCEPTED,
            (load.table_name,),
            len(load.records),
            loaded.rejected,
            stored=_stored(source, [load]),
        )

    def _push(self, request: Request, source: Source) -> Outcome:
        received_at = datetime.now(timezone.utc)
        pushed = read_push(
            request.body,
            source,
            self._strictness,
            transit=request.media_type == TRANSIT,
            any_client=self.accounts.is_open,
        )
        if isinstance(pushed, Answer):
            return Outcome(pushed)
        loads = pushed.loads
        tables = tuple(dict.fromkeys(load.table_name for load in loads))
        records = sum(len(load.records) for load in loads)
        if request.path == VALIDATE_PATH:
            return Outcome(answers.BATCH_VALID, tables, records, notes=pushed.notes)
        loaded = self._loader.load(source.name, loads, received_at)
        return Outcome(
            answers.BATCH_ACCEPTED,
            tables,
            records,
            loaded.rejected,
            notes=pushed.notes,
            stored=_stored(source, loads),
        )


def _stored(source: Source, loads: list[Load]) -> tuple[Stored, ...]:
    return tuple(Stored(source.name, load.table_name, len(load.records)) for load in loads)
