"""The Import API over HTTP: batches, its status, and whether a token is taken."""

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
"""At this rate a request's body gets more time than `request_timeout_seconds`."""
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
        """Post one batch body and return the answer. Redirects are answers like any other."""
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
            self._client.close()  # what else comes over it is unknown
        return answer

    def status(self) -> str:
        """Return what the service says of its own health.

        Raises:
            ServiceUnavailableError: It is not healthy, or does not answer.
            ProtocolError: What answers is not the Import API.
        """
        url = self._endpoint.base_url + STATUS_PATH
        timeout = self._endpoint.request_timeout_seconds
        answer = self._client.send(
            "GET", url, connect_seconds=timeout, seconds=timeout, with_token=False
        )
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

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _unanswered(verdict: TryAgain) -> ServiceUnavailableError:
    """Return the error of a request that could be tried again, and is not."""
    hint = f" {verdict.advice}" if verdict.advice else ""
    return ServiceUnavailableError(f"The Import API did not answer: {verdict.reason}.{hint}")


def _is_well(answer: Answer) -> bool:
    """Return whether a 200 is the service's own word for being well, which has a `status`."""
    is_object = answer.content is Content.ACKNOWLEDGEMENT and answer.body
    return bool(is_object) and "status" in json.loads(answer.body)
