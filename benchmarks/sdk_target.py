"""A plain SDK target for the Import API, as a user of `singer_sdk` would write it, to compare with.

One `BatchSink`, whole batches encoded at once, `requests` with a session, the SDK's defaults.
"""

from __future__ import annotations

import itertools
import time
from typing import Any, ClassVar

import requests
from singer_sdk import BatchSink, Target
from singer_sdk import typing as th
from singer_sdk.singerlib.json import serialize_json


class ImportSink(BatchSink):
    """One stream, a request for each full batch."""

    max_size = 4_000  # rows of a kilobyte: about the 4,000,000 bytes of a body

    session: ClassVar[requests.Session] = requests.Session()
    sequence: ClassVar[itertools.count[int]] = itertools.count(time.time_ns())

    def process_batch(self, context: dict[str, Any]) -> None:
        """Post the batch and fail on any answer but success."""
        body = {
            "table_name": self.stream_name,
            "schema": self.original_schema,
            "key_names": list(self.key_properties),
            "messages": [
                {"action": "upsert", "sequence": next(self.sequence), "data": record}
                for record in context["records"]
            ],
        }
        response = self.session.post(
            f"{self.config['api_url']}/v2/import/batch",
            data=serialize_json(body).encode(),
            headers={
                "Authorization": f"Bearer {self.config['token']}",
                "Content-Type": "application/json",
            },
            timeout=120,
        )
        response.raise_for_status()


class ImportTarget(Target):
    """The target with this sink."""

    name = "target-sdk-plain"
    default_sink_class = ImportSink
    config_jsonschema = th.PropertiesList(
        th.Property("token", th.StringType, required=True, secret=True),
        th.Property("api_url", th.StringType, required=True),
    ).to_dict()


if __name__ == "__main__":
    ImportTarget.cli()
