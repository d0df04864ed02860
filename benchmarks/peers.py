"""The measured programs: our target, its peers, the ceiling, each with command and config."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent
TARGET_STITCH: Final = "target-stitch==4.0.3"
CLIENTS: Final = ROOT / ".tools" / "clients"
IN_FLIGHT: Final = 4

Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Peer:
    """One program under test.

    `share` is the part of a workload's records that is enough to measure it, `share_of_many` that
    for workloads of many streams: slow programs get fewer. `delay_arguments` or `delay_setting`
    set the longest time a record may wait; a peer without either has no such option.
    """

    name: str
    summary: str
    command: tuple[str, ...]
    config: Callable[[str], Config]
    share: float = 1.0
    share_of_many: float = 1.0
    writes_states: bool = True
    delay_arguments: tuple[str, ...] = ()
    delay_setting: str | None = None


def _ours(*, checked: bool) -> Callable[[str], Config]:
    return lambda api_url: {"token": "t", "api_url": api_url, "validate_records": checked}


def _target_stitch(api_url: str) -> Config:
    """Return the configuration that Stitch uses, but with `IN_FLIGHT` requests at once, not one."""
    return {
        "token": "t",
        "client_id": 1,
        "small_batch_url": f"{api_url}/v2/import/batch",
        "big_batch_url": f"{api_url}/v2/import/batch",
        "batch_size_preferences": {},
        "turbo_boost_factor": IN_FLIGHT,
        "disable_collection": True,
    }


def _beside(executable: str) -> str:
    """Return the path of a script in the environment that runs the benchmarks."""
    return str(Path(sys.executable).parent / executable)


OURS: Final = Peer(
    "import",
    "target-stitch-import, records checked (the default)",
    (_beside("target-stitch-import"),),
    _ours(checked=True),
    delay_setting="batch_delay_seconds",
)
OURS_UNCHECKED: Final = Peer(
    "import-unchecked",
    "target-stitch-import, validate_records: false",
    (_beside("target-stitch-import"),),
    _ours(checked=False),
    delay_setting="batch_delay_seconds",
)
TARGET_STITCH_PEER: Final = Peer(
    "target-stitch",
    f"{TARGET_STITCH}, {IN_FLIGHT} requests in flight; it checks nothing",
    (str(CLIENTS / "bin" / "target-stitch"),),
    _target_stitch,
    share=1 / 4,
    share_of_many=1 / 16,
    delay_arguments=("--batch-delay-seconds",),
)
SDK: Final = Peer(
    "sdk",
    "a plain singer_sdk BatchSink, records checked (its default)",
    (sys.executable, str(HERE / "sdk_target.py")),
    _ours(checked=True),
    share=1 / 12,
    share_of_many=1 / 12,
)
SDK_UNCHECKED: Final = Peer(
    "sdk-unchecked",
    "the same, validate_records: false",
    (sys.executable, str(HERE / "sdk_target.py")),
    _ours(checked=False),
    share=1 / 4,
    share_of_many=1 / 8,
)
CEILING: Final = Peer(
    "ceiling",
    "a bare msgspec loop without any guarantee",
    (sys.executable, str(HERE / "ceiling.py")),
    _ours(checked=False),
    writes_states=False,
)
PEERS: Final = {
    peer.name: peer
    for peer in (CEILING, OURS_UNCHECKED, OURS, TARGET_STITCH_PEER, SDK_UNCHECKED, SDK)
}


def install(peer: Peer) -> None:
    """Install target-stitch in the tests' environment for it, if it is missing."""
    if peer is TARGET_STITCH_PEER and not Path(peer.command[0]).exists():
        print(f"installing {TARGET_STITCH} under {CLIENTS.relative_to(ROOT)}", flush=True)
        stamp = str((CLIENTS / ".ready").relative_to(ROOT))
        make = ["make", "--no-print-directory", stamp]
        subprocess.run(make, check=True, cwd=ROOT)
