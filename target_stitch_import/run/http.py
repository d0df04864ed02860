"""A client of the Import API: sends batches, gets its status, and checks the token."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from target_stitch_import.delivery.answer import Answer, Content
from target_stitch_import.delivery.redaction import shown, words_of
from target_stitch_import.delivery.verdict import BodyRefused, Stop, TryAgain, judge
from target_stitch_import.errors import ProtocolError, ServiceUnavailableError, quoted
from target_stitch_import.run.http_client import HttpClient

if TYPE_CHECKING:
    from target_stitch_import.endpoints import Endpoint

STATUS_PATH = "/v2/import/status"
SLOWEST_BYTES_PER_SECOND = 50_000
"""A body gets this much more time than `request_timeout_seconds`: one second per 50 kB."""
BIG_BODY_BYTES = 4_000_000
"""Larger bodies go to `big_url`, as target-stitch sends them."""


class ImportApiClient:
    """One connection to the Import API; it is used by one thread at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = HttpClient(
            endpoint.url, endpoint.token, endpoint.user_agent, endpoint.media_type
        )

    def send_batch(self, body: bytes, stream: str = "") -> Answer:
        """Post one batch body and return the response; redirects are not followed."""
        endpoint = self._endpoint
        is_big = len(body) > BIG_BODY_BYTES or stream in endpoint.big_streams
        answer = self._client.send(
            "POST",
            endpoint.big_url if is_big else endpoint.url,
            body,
            connect_seconds=endpoint.request_timeout_seconds,
            seconds=endpoint.request_timeout_seconds + len(body) / SLOWEST_BYTES_PER_SECOND,
        )
        if answer.is_success and answer.content is not Content.ACKNOWLEDGEMENT:
            self._client.close()  # what follows on the connection is unknown
        return answer

    def status(self) -> str:
        """Return the service's own status report.

        Raises:
            ServiceUnavailableError: The service is not healthy, or does not respond.
            ProtocolError: The response is not from the Import API.
        """
        url = self._endpoint.base_url + STATUS_PATH
        timeout = self._endpoint.request_timeout_seconds
        answer = self._client.send(
            "GET", url, connect_seconds=timeout, seconds=timeout, with_token=False
        )
        verdict = judge(answer, time.time())
        # A failure that a retry cannot fix, or a 2xx response that is not from the Import API.
        if isinstance(verdict, Stop) and (answer.failure or answer.is_success):
            raise verdict.error
        if answer.failure and isinstance(verdict, TryAgain):
            raise _unanswered(verdict)
        if answer.status != 200 or not _is_status_report(answer):
            said = f"{answer.status} {shown(words_of(answer.body))}"
            raise ServiceUnavailableError(f"The Import API at {url} is not available: {said}")
        # The request contained no secret that the response could repeat.
        return quoted(answer.body.decode("utf-8", "replace").strip(), mark="", limit=4_000)

    def check(self) -> None:
        """Check that the service accepts the token, with an invalid batch that loads nothing.

        Raises:
            TargetError: The token is refused, or the service does not respond.
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

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _unanswered(verdict: TryAgain) -> ServiceUnavailableError:
    """Return the error for a request that could be retried, but is not."""
    hint = f" {verdict.advice}" if verdict.advice else ""
    return ServiceUnavailableError(f"The Import API did not respond: {verdict.reason}.{hint}")


def _is_status_report(answer: Answer) -> bool:
    """Return whether a 200 response is the service's status report, an object with `status`."""
    is_object = answer.content is Content.ACKNOWLEDGEMENT and answer.body != b""
    return is_object and "status" in json.loads(answer.body)
