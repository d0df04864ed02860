"""The command that serves, without a command line of its own: `run` returns an exit status."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import duckdb

from target_stitch_import.local.api.accounts import AccountsError
from target_stitch_import.local.api.batch import Strictness
from target_stitch_import.local.server.runtime import LocalApi, Options
from target_stitch_import.local.warehouse.profiles import profiles

if TYPE_CHECKING:
    from types import FrameType

EX_UNAVAILABLE = 69
EX_CONFIG = 78


def usable_options(given: dict[str, Any]) -> Options:
    """Turn what a command line gave into Options; raise ValueError for what cannot be."""
    known = profiles()
    if given["destination"] not in known:
        raise ValueError(f"--destination is one of {', '.join(known)}")
    return Options(
        database=given["database"],
        accounts=given["accounts"],
        host=given["host"],
        port=given["port"],
        region=given["region"],
        destination=given["destination"],
        nested=given["nested"],
        kept_bytes=given["keep_bytes"],
        max_body_bytes=given["max_body_bytes"],
        public_page=given["public_page"],
        strictness=Strictness(
            strict_keys=given["strict_keys"],
            strict_datetime=given["strict_datetime"],
            count_data_points=not given["no_data_points"],
            live_messages=given["live_messages"],
        ),
    )


def run(options: Options, *, stop_with_stdin: bool = False) -> int:
    """Serve until a signal comes, or until stdin ends with `stop_with_stdin`.

    Prints `listening on URL` once requests are answered; everything else goes to stderr.
    """
    # A batch is thousands of new dicts and no cycles: collecting as usual costs a fifth more.
    gc.set_threshold(100_000, 50, 50)
    os.umask(0o077)  # whatever this process makes is its owner's alone
    try:
        api = LocalApi(options)
    except AccountsError as error:
        return _say(str(error), EX_CONFIG)
    except (OSError, duckdb.Error) as error:
        return _say(f"cannot serve: {error}", EX_UNAVAILABLE)
    stop = threading.Event()

    def finish(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, finish)
    if stop_with_stdin:
        threading.Thread(target=_wait_for_end_of_stdin, args=(stop,), daemon=True).start()
    api.start()
    print(f"listening on {api.url}", flush=True)  # noqa: T201 - the one line of stdout
    stop.wait()
    api.close()
    return 0


def _wait_for_end_of_stdin(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 65536):
        pass
    stop.set()


def _say(text: str, status: int) -> int:
    print(f"stitch-import serve: {text}", file=sys.stderr)  # noqa: T201 - its way to speak
    return status
