"""The list of faults for the next matching requests: decides which applies, and never waits.

`latency` only delays: then the next fault applies, or normal handling.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from target_stitch_import.local.api import answers
from target_stitch_import.local.api.answers import Answer

Kind = Literal[
    "status",
    "down",
    "queue",
    "latency",
    "reset_before",
    "reset_after",
    "redirect",
    "truncate",
]
STATUS_PATH = "/v2/import/status"
BATCH_PATH = "/v2/import/batch"
PUSH_PATH = "/v2/import/push"
VALIDATE_PATH = "/v2/import/validate"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_TEXT = re.compile(r"(?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?")
_LOADING = (BATCH_PATH, PUSH_PATH)


class FaultsError(ValueError):
    """A fault list that cannot be used; the text says what is wrong."""


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of the list, as `PUT /_local/faults` takes it."""

    kind: Kind
    times: int | Literal["always"] = 1
    path: str | None = None
    """Apply only to requests to this path, such as `/v2/import/batch`."""
    table: str | None = None
    """Apply only to batches and pushes for this table."""
    status: int = 503
    headers: dict[str, str] = {}
    body: Any = msgspec.UNSET
    seconds: float = 0.0
    location: str = "/"

    @property
    def spent(self) -> bool:
        """Return whether it is used up."""
        return self.times == 0

    def matches(self, path: str, tables: frozenset[str]) -> bool:
        """Return whether this entry applies to a request to `path` for `tables`."""
        if self.spent or (self.path is not None and self.path != path):
            return False
        if self.table is not None and self.table not in tables:
            return False
        if self.kind == "queue":
            return path in _LOADING
        # Validate never answers 503, whatever the API's health.
        unavailable = self.kind == "down" or (self.kind == "status" and self.status == 503)
        return not (unavailable and path == VALIDATE_PATH)

    def use(self) -> None:
        """Count one use."""
        if isinstance(self.times, int):
            self.times -= 1

    def answer(self, path: str) -> Answer | None:
        """Return the fault's own answer; None if the request must be handled first."""
        if self.kind == "down":
            reason = "The API is down (fault)."
            return answers.health(reason) if path == STATUS_PATH else answers.of_status(503)
        if self.kind == "redirect":
            return Answer(self.status, b"", headers={"location": self.location, **self.headers})
        if self.kind != "status":
            return None
        if self.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            return Answer(self.status, b"", headers=self.headers)  # HTTP allows them no body
        if self.body is msgspec.UNSET:
            general = answers.of_status(self.status)
            return Answer(self.status, general.body, general.media_type, self.headers)
        if isinstance(self.body, str):
            return answers.as_text(self.status, self.body, self.headers)
        return answers.as_json(self.status, self.body, self.headers)


class Decision(msgspec.Struct, frozen=True):
    """What to do with one request: wait, then apply `fault`, if there is one."""

    delay_seconds: float = 0.0
    fault: Fault | None = None


class FaultList:
    """The faults in order; requests use them in one thread, others may read and replace them."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def put(self, entries: Any) -> None:
        """Replace the list by `entries`, a JSON list. Raises FaultsError."""
        try:
            faults = msgspec.convert(entries, list[Fault])
        except msgspec.ValidationError as error:
            raise FaultsError(str(error)) from None
        for fault in faults:
            if isinstance(fault.times, int) and fault.times < 1:
                raise FaultsError('times: a number from 1, or "always"')
            if not 0 <= fault.seconds <= 3600:
                raise FaultsError("seconds: from 0 to 3600")
            if not 200 <= fault.status <= 599:
                raise FaultsError("status: from 200 to 599")
            if fault.kind == "redirect" and not 300 <= fault.status < 400:
                fault.status = 307  # the default, 503, is no redirect
            for name, text in (*fault.headers.items(), ("location", fault.location)):
                if not _sendable(name, text):
                    raise FaultsError(
                        f"header {name!r}: name or value is not valid, or the server sets it itself"
                    )
        self._faults = faults

    def entries(self) -> list[Any]:
        """Return the remaining entries, as JSON."""
        return [msgspec.to_builtins(fault) for fault in self._faults if not fault.spent]

    @property
    def by_table(self) -> bool:
        """Return whether an entry matches by table, so that bodies must be read first."""
        return any(fault.table is not None and not fault.spent for fault in self._faults)

    def decide(self, path: str, tables: frozenset[str] = frozenset()) -> Decision:
        """Return what to do with a request to `path` for `tables`; counts the uses of entries."""
        delay = 0.0
        for fault in self._faults:
            if not fault.matches(path, tables):
                continue
            fault.use()
            if fault.kind != "latency":
                return Decision(delay, fault)
            delay += fault.seconds
        return Decision(delay)


def _sendable(name: str, text: str) -> bool:
    """Return whether a header may be set; the server sets those that frame the body."""
    framing = name.lower() in ("content-length", "transfer-encoding")
    return not framing and bool(_HEADER_NAME.fullmatch(name) and _HEADER_TEXT.fullmatch(text))


class _Named(msgspec.Struct):
    table_name: str


def tables_of(body: bytes) -> frozenset[str]:
    """Return the tables that a batch or push body names; none if it cannot be read."""
    try:
        named = msgspec.json.decode(body, type=_Named | list[_Named])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return frozenset()
    return frozenset(each.table_name for each in (named if isinstance(named, list) else [named]))
