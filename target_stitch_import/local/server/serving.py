"""Runs `serve` as a process: signals, the line on stdout, exit statuses."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import duckdb

from target_stitch_import.local.api.accounts import AccountsError
from target_stitch_import.local.options import EX_CONFIG, OptionsError
from target_stitch_import.local.server.runtime import AddressError, LocalApi

if TYPE_CHECKING:
    from types import FrameType

    from target_stitch_import.local.options import Options

EX_UNAVAILABLE = 69


def run(options: Options, *, stop_with_stdin: bool = False) -> int:
    """Serve until a signal, or with `stop_with_stdin` the end of stdin; return the exit status.

    Prints `listening on URL` once requests are answered; everything else goes to stderr.
    """
    # A batch is thousands of new dicts without cycles: the default thresholds cost a fifth more.
    gc.set_threshold(100_000, 50, 50)
    os.umask(0o077)  # only the owner may read what this process creates
    try:
        api = LocalApi(options)
    except (AccountsError, OptionsError) as error:
        return _say(str(error), EX_CONFIG)
    except AddressError as error:
        return _say(str(error), EX_UNAVAILABLE)
    except (OSError, duckdb.Error) as error:
        return _say(f"cannot serve: {error}", EX_UNAVAILABLE)
    stop = threading.Event()

    def finish(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` ignores SIGHUP
            signal.signal(number, finish)
    if stop_with_stdin:
        threading.Thread(target=_wait_for_end_of_stdin, args=(stop,), daemon=True).start()
    api.start()
    if options.tls_self_signed is not None:
        _say(f"clients must trust {options.tls_self_signed / 'cert.pem'}", 0)
    print(f"listening on {api.url}", flush=True)  # noqa: T201 - the one line of stdout
    stop.wait()
    api.close()
    return 0


def _wait_for_end_of_stdin(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 65536):
        pass
    stop.set()


def _say(text: str, status: int) -> int:
    print(f"stitch-import serve: {text}", file=sys.stderr)  # noqa: T201 - a command's output
    return status
