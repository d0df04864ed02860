"""The accounts: clients, their sources, and the tokens that may write to them.

Without an accounts file, every token is accepted for one default source. Tokens are never shown or
logged.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import msgspec

REGIONS = {
    "us": "https://api.stitchdata.com",
    "eu": "https://api.eu-central-1.stitchdata.com",
}
MAX_TOKENS = 2  # active tokens of a source
DEFAULT_CREATED_AT = "2020-01-02T15:49:27Z"


class Token(msgspec.Struct):
    """An Import API access token of a source."""

    id: int
    token: str
    created_at: str = DEFAULT_CREATED_AT


class Source(msgspec.Struct):
    """An Import API source: its name is the schema its tables land in."""

    id: int
    display_name: str = "Import API"
    name: str = ""
    created_at: str = DEFAULT_CREATED_AT
    updated_at: str = ""
    paused_at: str | None = None
    deleted_at: str | None = None
    tokens: list[Token] = []
    client_id: int = 0

    @property
    def active(self) -> bool:
        """Return whether it accepts data."""
        return self.paused_at is None and self.deleted_at is None


class Client(msgspec.Struct):
    """A Stitch account: its Connect tokens and sources."""

    client_id: int
    connect_tokens: list[str] = []
    sources: list[Source] = []


class AccountsFile(msgspec.Struct):
    """The accounts file as a whole."""

    region: Literal["us", "eu"] = "us"
    clients: list[Client] = []
    other_region_tokens: list[str] = []


class AccountsError(ValueError):
    """An accounts file that cannot be used; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a token gives no access to a source."""

    reason: Literal["unknown", "region", "inactive"]


def derived_name(display_name: str) -> str:
    """Derive a source's name: lower case, spaces to `_`, other characters dropped."""
    return re.sub(r"[^a-z0-9_$]", "", display_name.lower().replace(" ", "_"))


def now_text() -> str:
    """Return the current time in Connect's format: UTC, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_accounts(given: Path | str | Mapping[str, Any]) -> AccountsFile:
    """Read an accounts file, or the same as a mapping. Raises AccountsError."""
    try:
        if isinstance(given, Mapping):
            return msgspec.convert(given, AccountsFile)
        return msgspec.json.decode(Path(given).read_bytes(), type=AccountsFile)
    except OSError as error:
        raise AccountsError(f"accounts file: {error.strerror}: {error.filename}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise AccountsError(f"accounts file: {error}") from None


@dataclass(slots=True)
class Accounts:
    """The accounts of one region; `is_open`: every token that is not revoked is accepted."""

    file: AccountsFile
    is_open: bool
    region: str = "us"
    revoked: set[str] = field(default_factory=set)
    last_token_id: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def load(
        cls, given: Path | str | Mapping[str, Any] | None, region: str | None = None
    ) -> Accounts:
        """Load the accounts from a file or mapping; None accepts any token.

        Without a `region` the accounts' own is emulated.
        """
        if given is None:
            client = Client(client_id=0, sources=[Source(id=1)])
            file = AccountsFile(clients=[client])
        else:
            file = read_accounts(given)
        region = region or file.region
        if region not in REGIONS:
            raise AccountsError(f"region: {region} is neither us nor eu")
        for client in file.clients:
            for source in client.sources:
                source.client_id = client.client_id
                source.name = source.name or derived_name(source.display_name)
                source.updated_at = source.updated_at or source.created_at
        accounts = cls(file, is_open=given is None, region=region)
        if given is not None and file.region != region:
            # One process emulates one region: the tokens of these accounts belong to the other.
            tokens = [token.token for source in accounts.sources() for token in source.tokens]
            accounts.file = AccountsFile(other_region_tokens=tokens)
        return accounts

    def sources(self) -> list[Source]:
        """Return every source of every client."""
        return [source for client in self.file.clients for source in client.sources]

    def find(self, token: str | None) -> Source | Denied:
        """Return the source that a token may write to, or why there is none."""
        if token is None:
            return Denied("unknown")
        with self.lock:
            if token in self.file.other_region_tokens:
                return Denied("region")
            for source in self.sources():
                if any(
                    secrets.compare_digest(each.token.encode(), token.encode())
                    for each in source.tokens
                ):
                    return source if source.active else Denied("inactive")
            if self.is_open and token not in self.revoked:
                source = self.file.clients[0].sources[0]
                return source if source.active else Denied("inactive")
        return Denied("unknown")

    def client_of(self, connect_token: str | None) -> Client | None:
        """Return the client that a Connect token belongs to, or None."""
        if connect_token is None:
            return None
        for client in self.file.clients:
            if self.is_open or connect_token in client.connect_tokens:
                return client
        return None


def bearer(header: str | None) -> str | None:
    """Return the token of an Authorization header; None if it is not `Bearer TOKEN`."""
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token else None
