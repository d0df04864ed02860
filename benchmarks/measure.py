"""Measures a run of a whole process: wall time, CPU time, peak memory, and what the gate got."""

from __future__ import annotations

import http.client
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from peers import HERE, Config, Peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

TIMEOUT_SECONDS: Final = 900.0
# `ru_maxrss` is in kibibytes, but in bytes on macOS.
RSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024
LAST_LINE_BYTES: Final = 4_000_000
PROC_STAT: Final = Path("/proc/stat")


@dataclass(frozen=True, slots=True)
class Sample:
    """The cost of one run. `elsewhere` is the share of all cores that other programs used."""

    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    exit_status: int
    requests: int
    body_bytes: int
    messages: int
    max_in_flight: int
    elsewhere: float
    last_line: str
    complaint: str

    @property
    def peak_rss_mb(self) -> float:
        """Return the peak memory in megabytes."""
        return self.peak_rss_bytes / 1e6

    def trouble(self, records: int) -> str:
        """Return why a counted run of `records` is invalid; empty if it delivered all of them."""
        if self.exit_status:
            return f"exit {self.exit_status}: {self.complaint[:160]}"
        if self.messages != records:
            return f"{self.messages} of {records} records delivered"
        return ""


class GateProcess:
    """The gate as a process, in a `with` statement."""

    def __init__(
        self, *, latency_seconds: float = 0.0, count: bool = False, keep: bool = False
    ) -> None:
        """Choose the gate's options; it starts on entering."""
        self._command = [
            sys.executable,
            str(HERE / "gate.py"),
            f"--latency={latency_seconds}",
            *(["--count"] if count else []),
            *(["--keep"] if keep else []),
        ]
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        """Start the gate, and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        if self._process.stdout is None:
            raise AssertionError
        self.url = self._process.stdout.readline().split()[-1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill the gate."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    @property
    def cpu_seconds(self) -> float:
        """Return the CPU seconds it has used, if the system reports them."""
        if self._process is None or not PROC_STAT.exists():
            return 0.0
        text = Path(f"/proc/{self._process.pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def reset(self) -> None:
        """Reset the gate's counters and bodies."""
        self._ask("POST", "/_gate/reset")

    def stats(self) -> dict[str, int]:
        """Return the counters since the last reset."""
        stats: dict[str, int] = self._ask("GET", "/_gate/stats")
        return stats

    def bodies(self) -> list[dict[str, Any]]:
        """Return the kept bodies, each with `arrived_at` on the monotonic clock."""
        bodies: list[dict[str, Any]] = self._ask("GET", "/_gate/bodies")
        return bodies

    def _ask(self, method: str, path: str) -> Any:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        connection.request(method, path)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer


def run(peer: Peer, source: Path | Callable[[BinaryIO], None], gate: GateProcess) -> Sample:
    """Run the peer to its end, with stdin from a file or written by `source`."""
    return run_configured(peer, peer.config(gate.url), (), source, gate)


def _start(
    command: list[str], source: object, out: BinaryIO, err: BinaryIO
) -> subprocess.Popen[bytes]:
    if not isinstance(source, Path):
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err)
    with source.open("rb") as stdin:
        return subprocess.Popen(command, stdin=stdin, stdout=out, stderr=err)


def run_configured(
    peer: Peer,
    config: Config,
    arguments: tuple[str, ...],
    source: Path | Callable[[BinaryIO], None],
    gate: GateProcess,
) -> Sample:
    """Run the peer to its end with the given configuration and further arguments."""
    gate.reset()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        config_path = Path(folder, "config.json")
        config_path.write_text(json.dumps(config))
        command = [*peer.command, "--config", str(config_path), *arguments]
        out_path, err_path = Path(folder, "stdout"), Path(folder, "stderr")
        gate_before, busy_before = gate.cpu_seconds, _busy_seconds()
        with out_path.open("wb") as out, err_path.open("wb") as err:
            started = time.perf_counter()
            process = _start(command, source, out, err)
            watchdog = threading.Timer(TIMEOUT_SECONDS, process.kill)
            watchdog.start()
            try:
                if not isinstance(source, Path):
                    _feed(process, source)
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                raise
            finally:
                watchdog.cancel()
            wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        others = _busy_seconds() - busy_before - cpu - (gate.cpu_seconds - gate_before)
        stats = gate.stats()
        return Sample(
            wall_seconds=wall,
            cpu_seconds=cpu,
            peak_rss_bytes=_peak_rss_bytes(usage),
            exit_status=process.returncode,
            requests=stats["requests"],
            body_bytes=stats["body_bytes"],
            messages=stats["messages"],
            max_in_flight=stats["max_in_flight"],
            elsewhere=max(0.0, others / wall / (os.cpu_count() or 1)),
            last_line=last_line(out_path),
            complaint=last_line(err_path) if process.returncode else "",
        )


def _feed(process: subprocess.Popen[bytes], source: Callable[[BinaryIO], None]) -> None:
    if process.stdin is None:
        raise AssertionError
    try:
        source(process.stdin)  # type: ignore[arg-type]  # Popen's IO[bytes] is a BinaryIO here
        process.stdin.close()
    except BrokenPipeError:
        pass  # it ended early; its exit status says why


def _busy_seconds() -> float:
    """Return the CPU seconds of the whole machine since boot, if the system reports them."""
    if not PROC_STAT.exists():
        return 0.0
    user, nice, system, _idle, _wait, irq, softirq, steal = map(
        int, PROC_STAT.read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def last_line(path: Path) -> str:
    """Return the last line of a file, read from its end to save memory."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LAST_LINE_BYTES))
        return file.read().rstrip().rpartition(b"\n")[2].decode(errors="replace")


def _peak_rss_bytes(usage: resource.struct_rusage) -> int:
    """Return a child's peak memory.

    Raises:
        RuntimeError: It is not above our own, which counts towards a child's until its `exec`.
    """
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if usage.ru_maxrss <= ours:
        raise RuntimeError(
            f"the harness outgrew what it measures: {ours} against {usage.ru_maxrss}"
        )
    return usage.ru_maxrss * RSS_UNIT
