"""Classifies and describes the errors of `requests`, `urllib3` and `ssl`, after a failed request.

Invariant: an error's own text is shown only as far as `redaction` allows, and a proxy's URL only
with its host and port.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import traceback
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
import urllib3

from target_stitch_import.delivery.answer import Answer, Failure
from target_stitch_import.delivery.redaction import shown
from target_stitch_import.errors import quoted
from target_stitch_import.run.tls_words import is_accident, words_of_tls

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_ANSWER = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,  # for a URL that cannot be parsed
)
"""The errors that are raised if there is no complete response."""
_UNSENDABLE = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidHeader,
    FileNotFoundError,
)
_OPENSSL_PLACE = re.compile(r"^\[SSL[^\]]*\] | ?\(?_ssl\.c:\d+\)?:? ?")
"""The source location in OpenSSL or Python, which the text of a TLS error includes."""
_MEANINGS: tuple[tuple[tuple[type[BaseException], ...], Failure], ...] = (
    (
        (requests.exceptions.SSLError, urllib3.exceptions.SSLError, ssl.SSLError),
        Failure.UNTRUSTED,
    ),
    ((urllib3.exceptions.NameResolutionError, socket.gaierror), Failure.UNRESOLVED),
    ((ConnectionRefusedError,), Failure.REFUSED),
    (
        (
            requests.ConnectTimeout,
            urllib3.exceptions.ConnectTimeoutError,
            urllib3.exceptions.NewConnectionError,
        ),
        Failure.UNREACHABLE,
    ),
    ((requests.Timeout,), Failure.TIMED_OUT),
    ((http.client.IncompleteRead,), Failure.CUT_OFF),
    ((urllib3.exceptions.ReadTimeoutError, TimeoutError), Failure.TIMED_OUT),
)
"""The failure for each group of types; the first that matches the error or a cause counts."""


def answer_of(error: Exception, url: str, proxies: Mapping[str, str]) -> Answer:
    """Return the failure that an exception of `requests` or `urllib3` means.

    `url` is the URL of the request, `proxies` has the proxies of the environment by scheme. The
    frames of the traceback are cleared, because they refer to the body of the request: the frames
    of `urllib3` refer to the error and the error to them, so the body would stay in memory until
    Python collects cyclic garbage.
    """
    causes = _causes(error)
    answer = Answer(failure=_failure_of(causes), detail=_detail_of(causes, url, proxies))
    for cause in causes:
        traceback.clear_frames(cause.__traceback__)
    return answer


def _failure_of(causes: list[BaseException]) -> Failure:
    is_unsendable = any(isinstance(each, _UNSENDABLE) or _is_about_url(each) for each in causes)
    # `requests` raises a plain OSError for a file of certificates that does not exist.
    if is_unsendable or "TLS CA cert" in str(causes[0]):
        return Failure.UNSENDABLE
    if any(map(is_accident, causes)):
        return Failure.LOST
    if any(map(_is_of_tunnel, causes)):
        return Failure.PROXY_REFUSED
    for types, failure in _MEANINGS:
        if any(isinstance(cause, types) for cause in causes):
            return failure
    return Failure.LOST


def _is_about_url(error: BaseException) -> bool:
    """Return whether an error is about a URL that cannot be parsed, such as a proxy's."""
    return isinstance(error, ValueError) and not isinstance(error, ssl.SSLError)


def _is_of_tunnel(error: BaseException) -> bool:
    """Return whether a proxy refused the connection; `http.client` has no type for that."""
    return isinstance(error, OSError) and str(error).startswith("Tunnel connection failed:")


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and its causes, innermost last: `requests` and `urllib3` wrap errors."""
    found: list[BaseException] = []
    waiting: list[BaseException] = [error]
    while waiting and len(found) < 20:
        cause = waiting.pop(0)
        found.append(cause)
        behind = [*cause.args, getattr(cause, "reason", None), cause.__cause__]
        waiting.extend(each for each in behind if isinstance(each, BaseException))
    return found


def _detail_of(causes: list[BaseException], url: str, proxies: Mapping[str, str]) -> str:
    """Return a description of an error that may be shown: the peers, and the innermost cause."""
    peers = [_peer(url)]
    if proxy := requests.utils.select_proxy(url, dict(proxies)):
        peers.append(_peer(proxy))
    hosts = {peer.rpartition(":")[0] for peer in peers}
    if any(map(_is_about_url, causes)):
        cause = "its URL cannot be read"  # the URL is not shown, as it may contain a password
    elif known := next(filter(None, map(words_of_tls, causes)), None):
        cause = known
    else:
        cause = shown(_text_of(causes[-1]), {*peers, *hosts, *map(_unbracketed, hosts)})
    return f"{' through the proxy '.join(peers)}: {cause}"


def _peer(url: str) -> str:
    """Return the host and port of a URL, without user and password."""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "an address that cannot be read"
    host = parts.hostname or ""
    return quoted(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", mark="")


def _unbracketed(host: str) -> str:
    return host.strip("[]")


def _text_of(error: BaseException) -> str:
    """Return the text of an error without the addresses of Python objects, or else its type."""
    text = _OPENSSL_PLACE.sub("", str(error))
    return text.rsplit(">: ", 1)[-1] or type(error).__name__
