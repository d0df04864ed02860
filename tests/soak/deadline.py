"""A response just before `request_timeout_seconds` is accepted, and one just after it is not.

`make soak-deadline`, or `python -m tests.soak.deadline [SECONDS]` with another timeout than the
setting's default. Both runs are concurrent.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.singer import lines, record, schema, state
from tests.support.target import TARGET

DEFAULT_SECONDS = 120.0


def service(first_after_seconds: float) -> tuple[ThreadingHTTPServer, list[float]]:
    """Run a service with a slow first response; return it, and the times of its requests."""
    came: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            came.append(time.monotonic())
            if len(came) == 1:
                time.sleep(first_after_seconds)
            self.send_response(201)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, came


def main(seconds: float) -> int:
    """Run both; return 0 if everything was as expected."""
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for after in (seconds - 1, seconds + 1):
            server, came = service(after)
            config, summary = (Path(folder) / f"{after}.{name}" for name in ("json", "summary"))
            settings = {
                "token": "T1",
                "api_url": f"http://127.0.0.1:{server.server_port}",
                "request_timeout_seconds": seconds,
                "summary_path": str(summary),
            }
            config.write_text(json.dumps(settings))
            source = Path(folder) / "messages"
            source.write_bytes(lines([schema(), record(1), state(1)]))
            command = [*TARGET, "--quiet", "--config", str(config), "--input", str(source)]
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            runs.append((after, process, came, summary))
        good = True
        for after, process, came, summary in runs:
            states, log = process.communicate()
            written = json.loads(summary.read_text())
            repeated = came[1] - came[0] if len(came) > 1 else 0.0
            is_late = after > seconds
            print(  # noqa: T201 - a report
                f"answered after {after:.0f} s: exit status {process.returncode}, "
                f"state {states.strip()}, {len(came)} requests, the second after {repeated:.1f} s, "
                f"{written['possible_duplicates']} possible duplicates"
            )
            good &= (process.returncode, states) == (0, "1\n")
            good &= len(came) == 1 + is_late and written["possible_duplicates"] == is_late
            good &= ("no response in time" in log) == is_late
            good &= not is_late or seconds <= repeated < seconds + 5
        return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_SECONDS))
