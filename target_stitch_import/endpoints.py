"""URLs of the Import API by region, and the endpoint and credentials of a run."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from target_stitch_import.names import DISTRIBUTION

if TYPE_CHECKING:
    from collections.abc import Mapping

REGION_URLS: Mapping[str, str] = {
    "us": "https://api.stitchdata.com",
    "eu": "https://api.eu-central-1.stitchdata.com",
}
BATCH_PATH = "/v2/import/batch"


def is_loopback(url: str) -> bool:
    """Return whether the host of `url` is this machine: `localhost` or a loopback address."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Endpoint(Struct, frozen=True):
    """Where batches are sent, and with which token; bodies over 4 MB go to `big_url`."""

    url: str
    big_url: str
    token: str
    request_timeout_seconds: float
    user_agent: str = DISTRIBUTION
    big_streams: frozenset[str] = frozenset()
    """Streams whose bodies of any size go to `big_url`."""
    media_type: str = "application/json"

    def __repr__(self) -> str:
        """Return a text for logs, without the token."""
        return f"{type(self).__name__}({self.url!r})"

    @property
    def base_url(self) -> str:
        """The base URL of the service's other paths."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/")
        if path.endswith(BATCH_PATH):
            return parts._replace(path=path.removesuffix(BATCH_PATH), query="").geturl()
        # A custom batch URL says nothing about the other paths, except for the host.
        return f"{parts.scheme}://{parts.netloc}"
