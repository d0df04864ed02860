"""HTTPS: with a created or a given certificate, and for a client with a hard-coded URL."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import requests
import urllib3

from target_stitch_import.local import ImportApi, ImportApiProcess
from target_stitch_import.local.options import Options, OptionsError
from tests.local.calls import CUSTOMERS
from tests.support.programs import require

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)


def serve(
    *options: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `serve` with options that it cannot start with."""
    return subprocess.run(
        [sys.executable, "-m", "target_stitch_import.toolbox", "serve", "--port", "0", *options],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment,
    )


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder with a created pair of certificate and key."""
    require("openssl")
    with ImportApi(tls_self_signed=str(tmp_path / "pair")):
        return tmp_path / "pair"


@pytest.mark.parametrize("name", ["api.stitchdata.com", "api.eu-central-1.stitchdata.com"])
def test_an_unchanged_client_connects_by_the_service_s_own_name(pair: Path, name: str) -> None:
    """It needs only a hosts entry, and trust in the certificate."""
    with (
        ImportApi(tls_self_signed=pair) as api,
        urllib3.HTTPSConnectionPool(
            "127.0.0.1",  # what the hosts entry says
            int(api.url.rpartition(":")[2]),
            ca_certs=str(pair / "cert.pem"),
            server_hostname=name,
            assert_hostname=name,
        ) as client,
    ):
        headers = {"Host": name, "Authorization": "Bearer x"}
        assert (
            client.request("POST", "/v2/import/batch", json=CUSTOMERS, headers=headers).status
            == 201
        )
        assert client.request("GET", "/_local/tables", headers=headers).status == 200
        assert api.query("SELECT name FROM import_api.customers") == [("Finn",)]


def test_clients_do_not_trust_it_by_default(pair: Path) -> None:
    with ImportApi(tls_self_signed=pair) as api, pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{api.url}/v2/import/status", timeout=10)


def test_a_certificate_is_created_once_and_its_key_is_private(pair: Path) -> None:
    before = (pair / "cert.pem").read_bytes()
    assert stat.S_IMODE((pair / "key.pem").stat().st_mode) == 0o600
    with ImportApi(tls_self_signed=pair):
        assert (pair / "cert.pem").read_bytes() == before


def test_a_given_certificate_is_used(pair: Path, tmp_path: Path) -> None:
    arguments = ("--tls-cert", str(pair / "cert.pem"), "--tls-key", str(pair / "key.pem"))
    with ImportApiProcess(tmp_path / "w.duckdb", arguments=arguments) as api:
        assert api.url.startswith("https://127.0.0.1:")
        answer = requests.get(
            f"{api.url}/v2/import/status", verify=str(pair / "cert.pem"), timeout=10
        )
        assert answer.json()["status"] == "OK"


def test_faults_break_https_too(pair: Path) -> None:
    with ImportApi(tls_self_signed=pair) as api:
        api.set_faults([{"kind": "reset_before"}, {"kind": "truncate"}])
        for _ in range(2):
            with pytest.raises(requests.RequestException):
                requests.post(
                    f"{api.url}/v2/import/batch",
                    json=CUSTOMERS,
                    headers={"Authorization": "Bearer x"},
                    verify=str(pair / "cert.pem"),
                    timeout=10,
                )


def test_an_unusable_certificate_is_refused(tmp_path: Path) -> None:
    """One line that says why, and status 78."""
    text = tmp_path / "text.pem"
    text.write_text("no key")
    (tmp_path / "file").write_text("")
    (tmp_path / "pair").mkdir()
    for name in ("cert.pem", "key.pem"):
        (tmp_path / "pair" / name).write_text("no key")
    for options, words in (
        (["--tls-cert", str(text), "--tls-key", str(text)], "cannot be used"),
        (["--tls-cert", str(text)], "go together"),
        (["--tls-self-signed", str(tmp_path / "file" / "x")], "--tls-self-signed"),
        (["--tls-self-signed", str(tmp_path / "pair")], "pair: cert.pem and key.pem cannot be"),
    ):
        done = serve(*options)
        assert (done.returncode, words in done.stderr) == (78, True), done.stderr
    with pytest.raises(OptionsError, match="leave out"):
        Options(tls_self_signed=tmp_path, tls_cert=text, tls_key=text)


@pytest.mark.parametrize("left", ["key.pem", "cert.pem", "both"])
def test_existing_files_are_not_overwritten(pair: Path, tmp_path: Path, left: str) -> None:
    """A single file may be the user's own; clients may trust an old pair."""
    names = ("cert.pem", "key.pem") if left == "both" else (left,)
    before = {name: (pair / name).read_bytes() for name in names}
    for name, text in before.items():
        (tmp_path / name).write_bytes(text)
        os.utime(tmp_path / name, (0, 0))
    done = serve("--tls-self-signed", str(tmp_path))
    assert (done.returncode, "Move the files" in done.stderr) == (78, True), done.stderr
    assert {name: (tmp_path / name).read_bytes() for name in names} == before


def test_without_openssl_it_says_what_is_needed(tmp_path: Path) -> None:
    done = serve("--tls-self-signed", str(tmp_path / "pair"), environment={"PATH": str(tmp_path)})
    assert (done.returncode, "needs the program openssl" in done.stderr) == (78, True)


def test_a_failure_of_openssl_leaves_no_incomplete_pair(tmp_path: Path) -> None:
    """So the next start creates the pair, without files to move."""
    broken = tmp_path / "openssl"
    broken.write_text("#!/bin/sh\necho 'unknown option -addext' >&2\nexit 1\n")
    broken.chmod(0o700)
    folder = tmp_path / "pair"
    done = serve("--tls-self-signed", str(folder), environment={"PATH": str(tmp_path)})
    assert (done.returncode, "make the pair: unknown option" in done.stderr) == (78, True)
    assert list(folder.iterdir()) == []


def test_curl_accepts_the_created_certificate(pair: Path) -> None:
    """With a TLS library other than Python's."""
    require("curl")
    with ImportApi(tls_self_signed=pair) as api:
        port = api.url.rpartition(":")[2]
        done = subprocess.run(
            [
                *("curl", "--silent", "--fail", "--cacert", str(pair / "cert.pem")),
                *("--resolve", f"api.stitchdata.com:{port}:127.0.0.1"),
                f"https://api.stitchdata.com:{port}/v2/import/status",
            ],
            capture_output=True,
            check=True,
        )
        assert b'"OK"' in done.stdout
