"""The Import API over `requests` and its `urllib3`. An answer is a value, never an exception.

Law: the token goes to the configured host alone, over verified TLS or to this machine, and comes
back in no text.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
import requests.adapters
import requests.auth
import urllib3

from target_stitch_import.delivery.answer import Answer, Content
from target_stitch_import.delivery.redaction import shown, words_of
from target_stitch_import.delivery.verdict import BodyRefused, Stop, TryAgain, judge
from target_stitch_import.endpoints import is_loopback
from target_stitch_import.errors import ProtocolError, ServiceUnavailableError, quoted
from target_stitch_import.run.failures import NO_ANSWER, detail_of, failure_of
from target_stitch_import.run.wire import CONTENT_CODING, Deadline, WholeAnswers, read_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_stitch_import.endpoints import Endpoint

STATUS_PATH = "/v2/import/status"
MAX_ANSWER_BYTES = 64_000
SLOWEST_BYTES_PER_SECOND = 50_000
"""At this rate a request's body gets more time than `request_timeout_seconds`."""
BIG_BODY_BYTES = 4_000_000
"""Larger bodies go to `big_url`, as target-stitch sends them."""


class _Bearer(requests.auth.AuthBase):
    """Sets the Authorization header; an explicit `auth` keeps `requests` off `.netrc`, too."""

    def __init__(self, token: str) -> None:
        self._value = f"Bearer {token}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the token, on the way out."""
        request.headers["Authorization"] = self._value
        return request


def session_with(
    url: str,
    token: str,
    user_agent: str,
    deadline: Deadline,
    media_type: str = "application/json",
) -> requests.Session:
    """Return a session for requests to `url`, all of which carry `token`; one at a time."""
    session = requests.Session()
    session.auth = _Bearer(token)
    session.headers["User-Agent"] = user_agent
    session.headers["Content-Type"] = media_type
    session.headers["Accept-Encoding"] = CONTENT_CODING
    for scheme in ("https://", "http://"):
        session.mount(scheme, WholeAnswers(deadline))
    if is_loopback(url):
        # No proxy is asked for this machine itself; its certificates count nevertheless.
        session.trust_env = False
        bundles = map(os.environ.get, ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
        session.verify = next(filter(None, bundles), True)
    return session


def proxies_of(session: requests.Session, url: str) -> Mapping[str, str]:
    """Return the proxies that count for `url`, by scheme."""
    settings = session.merge_environment_settings(url, {}, None, None, None)
    proxies: Mapping[str, str] = settings["proxies"]
    return proxies


@dataclass(frozen=True, slots=True)
class _Route:
    """How requests get to one URL: through `pool`, proxies and certificates settled."""

    pool: urllib3.HTTPConnectionPool
    target: str
    """The target in the request's first line."""
    headers: dict[str, str]


class _Routes(WholeAnswers):
    """Prepares once what `requests` prepares for each request.

    With many small batches, it would take longer for that than for sending them.
    """

    def to(self, request: requests.PreparedRequest, *, verify: bool | str, proxies: Any) -> _Route:
        """Return the way that requests like this one take.

        Raises:
            RequestException, OSError, ValueError: The environment's proxies or certificates are of
                no use.
        """
        pool = self.get_connection_with_tls_context(request, verify, proxies=proxies)
        self.cert_verify(pool, request.url, verify, None)  # type: ignore[no-untyped-call]
        target = self.request_url(request, proxies)
        return _Route(pool, target, dict(request.headers))


class ImportApiClient:
    """One connection to the Import API; it is used by one thread at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._deadline = Deadline()
        self._session = session_with(
            endpoint.url,
            endpoint.token,
            endpoint.user_agent,
            self._deadline,
            endpoint.media_type,
        )
        self._routes = _Routes(self._deadline)
        self._known_routes: dict[tuple[str, str], _Route] = {}

    def _route(self, method: str, url: str) -> _Route:
        route = self._known_routes.get((method, url))
        if route is None:
            prepared = self._session.prepare_request(requests.Request(method, url))
            settings = self._session.merge_environment_settings(url, {}, None, None, None)
            # An empty or false setting of the environment must not switch verification off.
            verify = settings["verify"] or True
            route = self._routes.to(prepared, verify=verify, proxies=settings["proxies"])
            route.headers.pop("Content-Length", None)  # each body has its own
            if method == "GET":
                del route.headers["Authorization"]  # the status endpoint needs no token
            self._known_routes[method, url] = route
        return route

    def send_batch(self, body: bytes, stream: str = "") -> Answer:
        """Post one batch body and return the answer. Redirects are answers like any other."""
        endpoint = self._endpoint
        is_big = len(body) > BIG_BODY_BYTES or stream in endpoint.big_streams
        return self._send("POST", endpoint.big_url if is_big else endpoint.url, body)

    def status(self) -> str:
        """Return what the service says of its own health.

        Raises:
            ServiceUnavailableError: It is not healthy, or does not answer.
            ProtocolError: What answers is not the Import API.
        """
        url = self._endpoint.base_url + STATUS_PATH
        answer = self._send("GET", url)
        verdict = judge(answer, time.time())
        if isinstance(verdict, Stop) and (answer.failure or answer.is_success):
            raise verdict.error
        if answer.failure and isinstance(verdict, TryAgain):
            raise _unanswered(verdict)
        if answer.status != 200 or not _is_well(answer):
            said = f"{answer.status} {shown(words_of(answer.body))}"
            raise ServiceUnavailableError(f"The Import API at {url} is not available: {said}")
        # The request had nothing in it that could come back.
        return quoted(answer.body.decode("utf-8", "replace").strip(), mark="", limit=4_000)

    def check(self) -> None:
        """See whether the token is taken, with a batch that holds nothing and so loads nothing.

        Raises:
            TargetError: It is not, or the service does not answer.
        """
        verdict = judge(self.send_batch(b"{}"), time.time())
        if isinstance(verdict, Stop):
            raise verdict.error
        if isinstance(verdict, TryAgain):
            raise _unanswered(verdict)
        if not isinstance(verdict, BodyRefused):
            raise ProtocolError(
                f"The server at {self._endpoint.base_url} is not the Import API: it accepts an "
                "empty request. Check `api_url` and proxies."
            )

    def _send(self, method: str, url: str, body: bytes | None = None) -> Answer:
        timeout = self._endpoint.request_timeout_seconds
        self._deadline.begin(timeout + len(body or b"") / SLOWEST_BYTES_PER_SECOND)
        try:
            route = self._route(method, url)
            response = route.pool.urlopen(
                method,
                route.target,
                body,
                route.headers,
                retries=self._routes.max_retries,  # none
                redirect=False,
                assert_same_host=False,
                # Of connecting too: the time to send the body on a new connection is cut by it.
                timeout=urllib3.Timeout(connect=timeout, read=timeout),
                preload_content=False,
                decode_content=False,
            )
            with response:
                read = read_body(response, MAX_ANSWER_BYTES)
        except NO_ANSWER as error:
            self._hang_up()
            detail = detail_of(error, url, proxies_of(self._session, url))
            return Answer(failure=failure_of(error), detail=detail)
        answer = Answer(
            response.status,
            read.content,
            response.headers.get("Retry-After"),
            end=read.end,
        )
        if answer.is_success and answer.content is not Content.ACKNOWLEDGEMENT:
            self._hang_up()
        return answer

    def _hang_up(self) -> None:
        """Close the connection: what else comes over it is unknown."""
        self._known_routes.clear()
        self._routes.close()

    def close(self) -> None:
        """Close the connection."""
        self._routes.close()


def _unanswered(verdict: TryAgain) -> ServiceUnavailableError:
    """Return the error of a request that could be tried again, and is not."""
    hint = f" {verdict.advice}" if verdict.advice else ""
    return ServiceUnavailableError(f"The Import API did not answer: {verdict.reason}.{hint}")


def _is_well(answer: Answer) -> bool:
    """Tell whether a 200 is the service's own word for being well, which has a `status`."""
    is_object = answer.content is Content.ACKNOWLEDGEMENT and answer.body
    return bool(is_object) and "status" in json.loads(answer.body)
