"""Runs `tap | target` as a user's shell does, with two processes."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.target import TARGET, TOKEN, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from target_stitch_import.local import ImportApi

TOOLS = Path(__file__).parents[2] / ".tools"
SECONDS = 100


@dataclass(frozen=True)
class Tap:
    """An installed tap and its configuration."""

    environment: str
    """The name of its folder in .tools, and of its file of locked requirements."""
    distribution: str
    executable: str
    config: Mapping[str, Any]
    schemas: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    """Schemas by table and column to replace the tap's own, as Meltano's `schema:` does."""

    @property
    def program(self) -> Path:
        """The tap's executable."""
        return TOOLS / self.environment / "bin" / self.executable


@dataclass
class Pipe:
    """Runs of `tap | target`, each of which continues from the last state."""

    tap: Tap
    folder: Path
    settings: dict[str, Any]
    """Settings of the target."""
    state: str | None = None

    def discover(self) -> dict[str, Any]:
        """Return the tap's catalog."""
        done = subprocess.run(
            [self.tap.program, "--config", self._file("tap.json", self.tap.config), "--discover"],
            capture_output=True,
            check=False,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stderr[-3_000:]
        catalog: dict[str, Any] = json.loads(done.stdout)
        return catalog

    def select(
        self,
        streams: Iterable[str],
        method: str,
        key: str | None = None,
        catalog: dict[str, Any] | None = None,
    ) -> None:
        """Write a catalog that selects streams, with the tap's corrected schemas."""
        wanted = set(streams)
        catalog = catalog or self.discover()
        found = [each for each in catalog["streams"] if each["tap_stream_id"] in wanted]
        assert {each["tap_stream_id"] for each in found} == wanted
        for stream in found:
            stream["replication_method"] = method
            if key:
                stream["replication_key"] = key
            chosen = {"selected": True, "replication-method": method, "replication-key": key}
            for each in stream["metadata"]:
                if not each["breadcrumb"]:
                    each["metadata"] |= {name: value for name, value in chosen.items() if value}
            table = stream["tap_stream_id"].partition("-")[2]
            for (name, column), schema in self.tap.schemas.items():
                if name == table:
                    stream["schema"]["properties"][column] = schema
        self._file("catalog.json", {"streams": found})

    def run(self, until: Callable[[list[str]], bool] | None = None, **settings: Any) -> Outcome:
        """Run both to their end, or kill the target once `until` holds for the states so far.

        The next run continues from the last state that was written.
        """
        with (
            (self.folder / "tap.log").open("wb") as tap_log,
            (self.folder / "target.log").open("w+b") as target_log,
            subprocess.Popen(
                self._tap_command(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=tap_log,
            ) as tap,
            subprocess.Popen(
                [*TARGET, "--config", self._file("target.json", self.settings | settings)],
                stdin=tap.stdout,
                stdout=subprocess.PIPE,
                stderr=target_log,
                cwd=self.folder,
                text=True,
            ) as target,
        ):
            assert tap.stdout
            assert target.stdout
            tap.stdout.close()
            states: list[str] = []
            for line in target.stdout:
                if line.endswith("\n"):
                    states.append(line)
                if until is not None and until(states):
                    target.kill()
                    break
            target.wait(SECONDS)
            tap.wait(SECONDS)
        log = (self.folder / "target.log").read_text()
        assert "Traceback" not in log
        assert TOKEN not in log
        if until is None and target.returncode == 0:
            assert tap.returncode == 0, (self.folder / "tap.log").read_text()[-3_000:]
        if states:
            self.state = states[-1]
        return Outcome(target.returncode, states, log)

    def _tap_command(self) -> list[str | Path]:
        command: list[str | Path] = [self.tap.program]
        command += ["--config", self._file("tap.json", self.tap.config)]
        command += ["--catalog", self.folder / "catalog.json"]
        if self.state is not None:
            (self.folder / "state.json").write_text(self.state)
            command += ["--state", self.folder / "state.json"]
        return command

    def _file(self, name: str, content: Any) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(content))
        return path


def piped(tap: Tap, folder: Path, api: ImportApi) -> Pipe:
    """Return a pipe from a tap to a local Import API."""
    return Pipe(tap, folder, {"token": TOKEN, "api_url": api.url, "max_retry_seconds": 20})
