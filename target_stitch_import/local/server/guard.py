"""Decides which requests are allowed: by host, by a page's origin, and control only from loopback.

A page of any site can make a browser send requests to loopback, and can point its own host name at
the loopback address. So each request must name a host of this server, and a request that a page
sends must come from the server's own pages or from an origin that was allowed.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from target_stitch_import.local.api import answers
from target_stitch_import.local.api.answers import Answer
from target_stitch_import.local.options import host_of
from target_stitch_import.local.server.tls import REAL_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping
    from typing import Any

    from starlette.types import Scope, Send

    from target_stitch_import.local.options import Options

NOT_LOCAL = answers.as_text(
    403,
    "Allowed only from this machine; for the web page, see --public-page of stitch-import serve.",
)
WRONG_HOST = answers.as_text(
    403,
    "The Host header is not a name of this server: see --allow-host of stitch-import serve.",
)
WRONG_ORIGIN = answers.as_text(
    403,
    "The Origin header is that of another web site: see --allow-origin of stitch-import serve.",
)
_ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound
_PREFLIGHT = {
    "access-control-allow-methods": "GET, HEAD, POST, PUT, DELETE, OPTIONS",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "600",
}


class Guard:
    """Decides by `Host` and `Origin`."""

    def __init__(self, options: Options) -> None:
        # The real host names can only lead here through the hosts file.
        self._names = {"localhost", options.host.lower(), *REAL_NAMES, *options.allow_hosts}
        # Unlike a name, an address cannot be pointed here by another site's DNS.
        self._any_address = options.host in _ANY_ADDRESS
        self._origins = frozenset(options.allow_origins)

    def refusal(self, scope: Scope, *, shared: bool) -> Answer | None:
        """Return the refusal of a request from another site; `shared`: allowed origins pass."""
        if not all(map(self._is_ours, _values(scope, b"host"))):
            return WRONG_HOST
        origins = set(_values(scope, b"origin"))
        own = {f"{scope['scheme']}://{host.lower()}" for host in _values(scope, b"host")}
        if origins <= own or (shared and len(origins) == 1 and origins <= self._origins):
            return None
        return WRONG_ORIGIN

    def preflight(self, scope: Scope) -> Answer | None:
        """Return the answer to a browser's preflight request; None for another request."""
        if scope["method"] != "OPTIONS" or not _values(scope, b"access-control-request-method"):
            return None
        headers = dict(_PREFLIGHT)
        if _values(scope, b"access-control-request-private-network"):
            headers["access-control-allow-private-network"] = "true"
        return Answer(204, b"", headers=headers)

    def sharing(self, scope: Scope, send: Send) -> Send:
        """Return a `send` that lets an allowed origin's page read the answers."""
        if not self._origins:
            return send
        origins = _values(scope, b"origin")
        allowed = [each.encode() for each in origins if each in self._origins]

        async def sharing(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                shared = [(b"access-control-allow-origin", each) for each in allowed[:1]]
                headers = [*message["headers"], *shared, (b"vary", b"origin")]
                message = {**message, "headers": headers}
            await send(message)

        return sharing

    def _is_ours(self, host: str) -> bool:
        name = host_of(host)
        if name in self._names:
            return True
        try:
            address = ip_address(name or "")
        except ValueError:
            return False
        return self._any_address or address.is_loopback


def is_loopback(scope: Scope) -> bool:
    """Return whether the request comes from this machine."""
    client = scope.get("client")
    try:
        address = ip_address(client[0]) if client is not None else None
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and address.is_loopback


def _values(scope: Scope, name: bytes) -> list[str]:
    """Return every value of a header: all must be allowed, as a reader may use any of them."""
    pairs: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1").strip() for each, value in pairs if each.lower() == name]
