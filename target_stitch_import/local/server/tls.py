"""The certificate for HTTPS: the user's own, or one for loopback and the service's host names."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from target_stitch_import.local.api.accounts import REGIONS
from target_stitch_import.local.options import TLS_FILES, OptionsError

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local.options import Options

REAL_NAMES = tuple(urlsplit(url).netloc for url in REGIONS.values())
_DAYS = 825  # browsers refuse certificates that are valid for longer
_NAMES = ",".join(
    ["DNS:localhost", "IP:127.0.0.1", "IP:::1", *(f"DNS:{name}" for name in REAL_NAMES)]
)


def certificate(options: Options) -> tuple[Path, Path] | None:
    """Return the files of certificate and key, created if asked for; None for plain HTTP.

    Raises OptionsError for a pair that cannot be used or created.
    """
    if options.tls_self_signed is not None:
        pair = _self_signed(options.tls_self_signed)
    elif options.tls_cert is not None and options.tls_key is not None:
        pair = options.tls_cert, options.tls_key
    else:
        return None
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*pair)
    except (OSError, ValueError) as error:
        if options.tls_self_signed is None:
            raise OptionsError(f"--tls-cert and --tls-key cannot be used: {error}") from None
        raise OptionsError(
            f"--tls-self-signed {options.tls_self_signed}: cert.pem and key.pem cannot be used:"
            f" {error}. Move the files, or name another folder"
        ) from None
    return pair


def _self_signed(folder: Path) -> tuple[Path, Path]:
    """Return the pair in a folder, created if there is none; reused, so that clients trust it once.

    Nothing is overwritten: a single file may be the user's own key, and clients trust an old pair.
    """
    cert, key = (folder / name for name in TLS_FILES)
    try:
        fresh = time.time() - cert.stat().st_mtime < (_DAYS - 25) * 86400 and key.exists()
    except OSError:
        fresh = False
    if fresh:
        return cert, key
    if cert.exists() or key.exists():
        raise OptionsError(
            f"--tls-self-signed {folder}: the folder has an incomplete pair of cert.pem and "
            f"key.pem, or one older than {_DAYS - 25} days. Move the files, or name another folder"
        )
    program = shutil.which("openssl")
    if program is None:
        raise OptionsError(
            "--tls-self-signed needs the program openssl, which is not on the PATH: install it, or"
            " give a pair of your own with --tls-cert and --tls-key"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600))  # private from the start
        key.chmod(0o600)
    except OSError as error:
        raise OptionsError(f"--tls-self-signed {folder}: {error.strerror}") from None
    command = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(_DAYS)]
    command += ["-keyout", str(key), "-out", str(cert), "-subj", "/CN=local Import API"]
    for extension in (
        f"subjectAltName={_NAMES}",
        # Not a CA: a client that trusts the certificate trusts only these names.
        "basicConstraints=critical,CA:FALSE",
        "extendedKeyUsage=serverAuth",
    ):
        command += ["-addext", extension]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        for file in (cert, key):  # otherwise the next start refuses an incomplete pair
            file.unlink(missing_ok=True)
        why = next(iter(done.stderr.strip().splitlines()[-1:]), f"status {done.returncode}")
        raise OptionsError(f"--tls-self-signed: openssl could not make the pair: {why}")
    return cert, key
