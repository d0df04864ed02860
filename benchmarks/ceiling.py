"""The ceiling: what this interpreter and these libraries can deliver without any guarantees.

A bare loop: a chunk of stdin, `msgspec` `decode_lines` with the records left raw, one list of
structs encoded per body, `requests` posting it. Nothing is checked, retried or accounted for,
states are dropped, and body sizes are estimates. No target can be expected to beat it by much.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import requests

CHUNK_BYTES: Final = 1 << 18  # measured: larger ones fall out of the cache
BODY_BYTES: Final = 3_000_000  # up to one chunk more
BODY_ROWS: Final = 20_000
BUFFER_BYTES: Final = 64_000_000


class Message(msgspec.Struct, gc=False):
    """Any Singer message; unneeded members are skipped."""

    type: str
    stream: str = ""
    record: msgspec.Raw = msgspec.Raw()
    time_extracted: str | None = None
    schema: msgspec.Raw = msgspec.Raw()
    key_properties: list[str] = []


class Upsert(msgspec.Struct, gc=False, omit_defaults=True, tag_field="action", tag="upsert"):
    """One message of a body."""

    sequence: int
    data: msgspec.Raw
    time_extracted: str | None = None


class Stream:
    """A SCHEMA and its records that are not sent yet."""

    def __init__(self, message: Message) -> None:
        """Prepare the bytes that every body of the stream begins with."""
        envelope = {
            "table_name": message.stream,
            "schema": message.schema,
            "key_names": message.key_properties,
        }
        self.prefix = msgspec.json.encode(envelope)[:-1] + b',"messages":'
        self.upserts: list[Upsert] = []
        self.size_bytes = 0.0
        self.sent = 0


class Ceiling:
    """The loop that reads messages and sends bodies."""

    def __init__(self, config: dict[str, Any], *, dry_run: bool = False) -> None:
        """Use the configuration of the target under test; a dry run only makes bodies."""
        self.dry_run = dry_run
        self.url = f"{config['api_url']}/v2/import/batch"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {config['token']}"
        self.session.headers["Content-Type"] = "application/json"
        self.encoder = msgspec.json.Encoder()
        self.decoder = msgspec.json.Decoder(Message)
        self.sequence = itertools.count(time.time_ns())
        self.streams: dict[str, Stream] = {}

    def run(self) -> None:
        """Send everything from stdin to the Import API."""
        rest = b""
        while chunk := os.read(0, CHUNK_BYTES):
            cut = chunk.rfind(b"\n") + 1
            if not cut:
                rest += chunk
                continue
            self.take(rest + chunk[:cut])
            rest = chunk[cut:]
            self.post_full()
        self.take(rest)
        for stream in self.streams.values():
            self.post(stream)

    def post_full(self) -> None:
        """Send full bodies; if many streams fill the memory first, the largest of them."""
        streams = self.streams.values()
        for stream in streams:
            if stream.size_bytes >= BODY_BYTES or len(stream.upserts) >= BODY_ROWS:
                self.post(stream)
        if sum(stream.size_bytes for stream in streams) >= BUFFER_BYTES:
            by_size = sorted(streams, key=lambda stream: stream.size_bytes)
            for stream in by_size[-max(1, len(by_size) // 8) :]:
                self.post(stream)

    def take(self, run: bytes) -> None:
        """Add the messages of whole lines to their streams."""
        messages = self.decoder.decode_lines(run)
        average_bytes = len(run) / max(1, len(messages))
        streams, sequence = self.streams, self.sequence
        for message in messages:
            if message.type == "RECORD":
                stream = streams[message.stream]
                stream.upserts.append(
                    Upsert(next(sequence), message.record, message.time_extracted)
                )
                stream.size_bytes += average_bytes
            elif message.type == "SCHEMA":
                streams[message.stream] = Stream(message)

    def post(self, stream: Stream) -> None:
        """Send one stream's waiting records."""
        if not stream.upserts:
            return
        body = bytearray(stream.prefix)
        self.encoder.encode_into(stream.upserts, body, -1)
        body += b"}"
        text = bytes(body)
        if not self.dry_run:
            self.session.post(self.url, data=text).raise_for_status()
        stream.sent += len(stream.upserts)
        stream.upserts = []
        stream.size_bytes = 0.0


def main() -> None:
    """Run with the configuration file of the target under test."""
    parser = argparse.ArgumentParser(description="The ceiling: a loop without any guarantee.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--dry-run", action="store_true", help="send nothing")
    arguments = parser.parse_args()
    config = json.loads(arguments.config.read_text())
    gc.disable()
    ceiling = Ceiling(config, dry_run=arguments.dry_run)
    ceiling.run()
    if "summary_path" in config:
        # The part of the target's summary that the benchmarks read.
        streams = {name: {"acknowledged": each.sent} for name, each in ceiling.streams.items()}
        Path(config["summary_path"]).write_text(json.dumps({"streams": streams}))


if __name__ == "__main__":
    main()
