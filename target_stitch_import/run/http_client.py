"""An HTTP client with one connection to a service, over `requests` and its `urllib3`.

`requests` determines proxies, certificates and headers, once for each URL; `urllib3` connects. This
module and `wire` write requests and read responses: a small request with one call, a response to
its end, both within a deadline.

Invariant: the token is sent only to the configured host, over verified TLS or to this machine, and
appears in no text that is returned.
"""

from __future__ import annotations

import http.client
import io
import os
import ssl
from typing import TYPE_CHECKING, Any

import requests
import requests.adapters
import requests.auth
import urllib3
from msgspec import Struct
from urllib3.util.ssltransport import SSLTransport

from target_stitch_import.delivery.answer import Answer
from target_stitch_import.endpoints import is_loopback
from target_stitch_import.run.failures import NO_ANSWER, answer_of
from target_stitch_import.run.wire import (
    CONTENT_CODING,
    READ_BYTES,
    AnswerError,
    Deadline,
    WholeAnswer,
    read_answer,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

SMALL_BODY_BYTES = 65_536
"""Up to this size, copying a body behind its headers costs less than a second call to send it."""
_NO_RETRIES = urllib3.Retry(0, read=False)


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until the deadline, however slowly the data arrives."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, deadline: Deadline) -> None:
        self._raw = raw
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Read the next bytes into `buffer`, and return their number.

        Raises:
            TimeoutError: The deadline is over.
        """
        self._connection.settimeout(self._deadline.left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Release the socket."""
        self._raw.close()
        super().close()


class _Connection:
    """A mixin for the connections of `urllib3`, which connect directly or through a proxy."""

    deadline: Deadline
    max_answer_bytes: int
    sock: Any
    _is_sent = False
    """Whether the whole request was sent."""
    if TYPE_CHECKING:  # methods of the class that this is mixed into
        connect: Callable[[], None]
        close: Callable[[], None]

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open, and nothing has arrived since the last response."""
        connection: Any = super()
        # With TLS inside TLS, data may already have been read from the socket.
        has_more = isinstance(self.sock, SSLTransport) and self.sock.incoming.pending
        return bool(connection.is_connected) and not has_more

    def request(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], **_options: Any
    ) -> None:
        """Send a request; `headers` must include `Host`.

        Raises:
            OSError: It cannot be sent, or not in time.
        """
        if self.sock is None:
            self.connect()
        body = body or b""
        lines = [f"{method} {url} HTTP/1.1", *map(": ".join, headers.items())]
        if body or method != "GET":  # some servers refuse other methods without a length
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self._is_sent = False
        for piece in [head + body] if len(body) <= SMALL_BODY_BYTES else [head, body]:
            # A socket's timeout, with or without TLS, applies to one whole call. With more pieces,
            # each one would wait for the interpreter's lock.
            self.sock.settimeout(self.deadline.left())
            try:
                self.sock.sendall(piece)
            except ssl.SSLEOFError:
                # Without TLS, this is the error; `urllib3` ignores it and reads the response.
                raise BrokenPipeError from None
        self._is_sent = True

    def getresponse(self) -> WholeAnswer:
        """Read and return the whole response.

        Raises:
            http.client.HTTPException, OSError: It is not complete, or does not arrive in time.
        """
        connected = self.sock

        def receive() -> bytes:
            connected.settimeout(self.deadline.left())
            # TLS inside TLS returns 0 at the end.
            received: bytes = connected.recv(READ_BYTES) or b""
            return received

        answer = read_answer(receive, self.max_answer_bytes)
        if not (self._is_sent and answer.keeps_connection):
            self.close()
        if not self._is_sent and 200 <= answer.status < 300:
            # A server may respond and close the connection before it has received the whole
            # request. Such a response can be a refusal, but never an acknowledgement.
            raise AnswerError("the connection ended before the whole request was received")
        return answer


class _Route(Struct, frozen=True):
    """How requests are sent to one URL; `pool` includes its proxy and certificates."""

    pool: urllib3.HTTPConnectionPool
    target: str
    """The request target in the first line of a request."""
    headers: dict[str, str]


class _Routes(requests.adapters.HTTPAdapter):
    """Prepares once per URL what `requests` prepares for each request.

    With many small batches, the preparation would take longer than sending them.
    """

    def __init__(self, deadline: Deadline, max_answer_bytes: int) -> None:
        self._deadline = deadline
        self._max_answer_bytes = max_answer_bytes
        super().__init__()

    def to(self, request: requests.PreparedRequest, *, verify: bool | str, proxies: Any) -> _Route:
        """Return the route of requests like this one.

        Raises:
            RequestException, OSError, ValueError: The environment's proxies or certificates are
                invalid.
        """
        pool: Any = self.get_connection_with_tls_context(request, verify, proxies=proxies)
        kind: type[Any] = pool.ConnectionCls
        if not issubclass(kind, _Connection):
            members = {
                "deadline": self._deadline,
                "max_answer_bytes": self._max_answer_bytes,
                "response_class": staticmethod(self._tunnel_answer),
            }
            pool.ConnectionCls = type(kind.__name__, (_Connection, kind), members)
        self.cert_verify(pool, request.url, verify, None)  # type: ignore[no-untyped-call]
        headers = {"Host": _host_of(request.url or "")} | dict(request.headers)
        headers.pop("Content-Length", None)  # each body has its own
        return _Route(pool, self.request_url(request, proxies), headers)

    def _tunnel_answer(
        self, connection: socket.socket, *args: Any, **options: Any
    ) -> http.client.HTTPResponse:
        """Return the reader of a proxy's response to CONNECT, which keeps to the deadline."""
        answer = http.client.HTTPResponse(connection, *args, **options)
        answer.fp = io.BufferedReader(
            _DeadlineReader(answer.fp.detach(), connection, self._deadline)
        )
        return answer


def _host_of(url: str) -> str:
    """Return the value of the header `Host`, without the scheme's default port."""
    parts = urllib3.util.parse_url(url)
    default = 443 if parts.scheme == "https" else 80
    host = (parts.host or "").rstrip(".")  # certificates and TLS omit the final dot
    return f"{host}:{parts.port}" if parts.port not in {None, default} else host


class _Bearer(requests.auth.AuthBase):
    """Sets the Authorization header; with an explicit `auth`, `requests` ignores `.netrc`."""

    def __init__(self, token: str) -> None:
        self._value = f"Bearer {token}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the header of `request`, and return it."""
        request.headers["Authorization"] = self._value
        return request


class HttpClient:
    """Sends requests to one service with a token, one at a time.

    Args:
        url: The URL of the service; if it is this machine, proxies and `.netrc` are ignored.
        max_answer_bytes: A longer body of a response is not read to its end.
    """

    def __init__(
        self,
        url: str,
        token: str,
        user_agent: str,
        media_type: str = "application/json",
        max_answer_bytes: int = 64_000,
    ) -> None:
        self._deadline = Deadline()
        self._routes = _Routes(self._deadline, max_answer_bytes)
        self._known_routes: dict[tuple[str, str, bool], _Route] = {}
        self._session = session = requests.Session()
        session.auth = _Bearer(token)
        session.headers["User-Agent"] = user_agent
        session.headers["Content-Type"] = media_type
        session.headers["Accept-Encoding"] = CONTENT_CODING
        if is_loopback(url):
            # Proxies are ignored for this machine, but not certificates.
            session.trust_env = False
            bundles = map(os.environ.get, ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
            session.verify = next(filter(None, bundles), True)

    def send(  # noqa: PLR0913 - a request has that many parts
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        *,
        connect_seconds: float,
        seconds: float,
        with_token: bool = True,
    ) -> Answer:
        """Send a request and return the response, or the failure; redirects are not followed.

        Connecting may take `connect_seconds`, and the whole exchange `seconds`.
        """
        self._deadline.begin(seconds)
        try:
            route = self._route(method, url, with_token=with_token)
            read: Any = route.pool.urlopen(
                method,
                route.target,
                body,
                route.headers,
                retries=_NO_RETRIES,
                redirect=False,
                assert_same_host=False,
                # For connecting; the deadline limits everything after it.
                timeout=urllib3.Timeout(connect=connect_seconds, read=seconds),
                release_conn=True,  # the response is read to its end
                preload_content=False,
            )
        except NO_ANSWER as error:
            self.close()
            return answer_of(error, url, self._proxies_of(url))
        return Answer(read.status, read.body, read.headers.get("retry-after"), end=read.end)

    def _route(self, method: str, url: str, *, with_token: bool) -> _Route:
        key = (method, url, with_token)
        route = self._known_routes.get(key)
        if route is None:
            prepared = self._session.prepare_request(requests.Request(method, url))
            settings = self._session.merge_environment_settings(url, {}, None, None, None)
            # An empty or false setting of the environment must not switch verification off.
            verify = settings["verify"] or True
            route = self._routes.to(prepared, verify=verify, proxies=settings["proxies"])
            if not with_token:
                del route.headers["Authorization"]
            self._known_routes[key] = route
        return route

    def _proxies_of(self, url: str) -> Mapping[str, str]:
        """Return the proxies that apply to `url`, by scheme."""
        settings = self._session.merge_environment_settings(url, {}, None, None, None)
        proxies: Mapping[str, str] = settings["proxies"]
        return proxies

    def close(self) -> None:
        """Close the connection; another request opens a new one."""
        self._known_routes.clear()
        self._routes.close()
