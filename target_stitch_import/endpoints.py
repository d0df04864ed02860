"""Where requests go, and as whom: the regions' URLs, and what is known of a URL by itself."""

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
    """Tell whether `url` names this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Endpoint(Struct, frozen=True):
    """Where batches go, and as whom."""

    url: str
    big_url: str
    token: str
    request_timeout_seconds: float = 120.0
    user_agent: str = DISTRIBUTION
    big_streams: frozenset[str] = frozenset()
    """Streams whose bodies of any size go to `big_url`."""
    media_type: str = "application/json"

    def __repr__(self) -> str:
        """Return what may be shown of it, which the token is not."""
        return f"{type(self).__name__}({self.url!r})"

    @property
    def base_url(self) -> str:
        """The URL below which the service's other paths stand."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/")
        if path.endswith(BATCH_PATH):
            return parts._replace(path=path.removesuffix(BATCH_PATH), query="").geturl()
        # Whatever a batch URL of its own looks like, the other paths are those of its host.
        return f"{parts.scheme}://{parts.netloc}"
