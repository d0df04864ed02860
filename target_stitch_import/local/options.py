"""The options of a local Import API, each with its default, in one place.

Standard library only, so that a command line can be read before anything heavy is imported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/?#@\[\]\\]+))(?::\d{0,5})?")
_ORIGIN = re.compile(r"https?://([^/]+)")


EX_CONFIG = 78
TLS_FILES = ("cert.pem", "key.pem")
"""Certificate and key in the folder of `tls_self_signed`."""


class OptionsError(ValueError):
    """An option that cannot be used; the text says which and why."""


def host_of(text: str) -> str | None:
    """Return the name or address of `HOST` or `HOST:PORT`, in lower case; None if it is neither."""
    match = _HOST.fullmatch(text)
    return (match[1] or match[2]).lower().removesuffix(".") if match is not None else None


@dataclass(frozen=True)
class Strictness:
    """Rules on which the documentation disagrees, and how errors are worded."""

    strict_keys: bool = False
    """Refuse string keys of 256 characters and more, not only those over 1,024."""
    strict_datetime: bool = False
    """Refuse the offset form `+0000`."""
    count_data_points: bool = True
    """Refuse records of more than 10,000 data points."""
    strict_push: bool = False
    """Refuse what the reference does not have: `namespace`, `switch_view`, `client_id` as text."""
    live_messages: bool = False
    """Word a record's violations as the live service does, with line breaks."""


@dataclass(frozen=True)
class Options:
    """The options of `serve` and of `ImportApi`; see `docs/local-import-api.md`."""

    database: Path | None = None
    accounts: Path | str | Mapping[str, Any] | None = None
    host: str = "127.0.0.1"
    port: int = 0
    region: str | None = None
    destination: str = "postgresql"
    nested: str | None = None
    kept_bytes: int | None = 64_000_000
    max_body_bytes: int = 20_000_000  # 20MB, taken as decimal: the safe reading
    public_page: bool = False
    allow_hosts: tuple[str, ...] = ()
    """Names that a `Host` header may have, besides `localhost`, loopback addresses and `host`."""
    allow_origins: tuple[str, ...] = ()
    """Origins of web pages, such as `http://localhost:3000`, that may call the API."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_self_signed: Path | None = None
    """Folder for a pair that is created for loopback and the service's host names."""
    strictness: Strictness = Strictness()

    def __post_init__(self) -> None:
        """Check what can be checked without starting. Raises OptionsError."""
        for name in ("tls_cert", "tls_key", "tls_self_signed"):  # `ImportApi` takes texts, too
            given = getattr(self, name)
            object.__setattr__(self, name, None if given is None else Path(given))
        for name in self.allow_hosts:
            if host_of(name) != name.lower():
                raise OptionsError(f"--allow-host {name}: give only a host name, without port")
        for origin in self.allow_origins:
            match = _ORIGIN.fullmatch(origin)
            if match is None or host_of(match[1]) is None or origin != origin.lower():
                raise OptionsError(
                    f"--allow-origin {origin}: give scheme, host and port as a browser does, such"
                    " as http://localhost:3000"
                )
        if self.nested not in (None, "flatten", "json"):
            raise OptionsError(f"nested: {self.nested} is neither flatten nor json")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise OptionsError("--tls-cert and --tls-key go together: give both files")
        if self.tls_cert is not None and self.tls_self_signed is not None:
            raise OptionsError(
                "--tls-self-signed creates a pair: leave out --tls-cert and --tls-key"
            )
        object.__setattr__(self, "allow_hosts", tuple(map(str.lower, self.allow_hosts)))
