"""Errors about an output that cannot be written: the cause, and what to do."""

from __future__ import annotations

import errno
import os

import pytest

from target_stitch_import.errors import why_it_cannot_be_written

ADVICE = {
    errno.ENOSPC: "Free disk space, then run again.",
    errno.EDQUOT: "Free disk space, then run again.",
    errno.EFBIG: "Raise the limit on the size of files (`ulimit -f`), then run again.",
    errno.EROFS: "Make the file system writable or use another one, then run again.",
    errno.EACCES: "Give this user permission to read and write there, then run again.",
    errno.EPERM: "Give this user permission to read and write there, then run again.",
    errno.EPIPE: "The program that reads it has ended: see its log, then run again.",
    errno.EIO: "Check the path and the disk, then run again.",
}


@pytest.mark.parametrize("number", ADVICE, ids=errno.errorcode.get)
def test_each_reason_has_its_advice(number: int) -> None:
    why = os.strerror(number)
    assert why_it_cannot_be_written(OSError(number, why)) == f"{why}. {ADVICE[number]}"


def test_an_error_without_a_reason_is_named_by_its_kind() -> None:
    """Its own text is omitted, because it can quote a URL with a password."""
    error = ValueError("s3://key:secret@bucket")
    assert why_it_cannot_be_written(error) == f"ValueError. {ADVICE[errno.EIO]}"
