"""Real TLS with every kind of bad peer: the message, and whether the request is retried."""

from __future__ import annotations

import os
import ssl
import subprocess
from socket import SHUT_WR
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import end, running, started, stream
from tests.support.programs import require
from tests.support.singer import lines, record, schema, state
from tests.support.target import TOKEN, Target
from tests.support.tls import ANY_CIPHER, HERE, Authorities, peer
from tests.support.toolbox import tool

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tests.support.tls import Peer

MESSAGES = [schema(), record(1), state(1)]
CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
NO_AUTHORITY = "its certificate is not signed by a trusted authority"
PLAIN = "it does not speak TLS, but plain HTTP or something else"


def speaks(text: bytes) -> Peer:
    """Return a peer that responds to anything with `text`, and closes the connection."""

    def speak(wire: socket.socket) -> None:
        wire.recv(65_536)
        wire.sendall(text)
        wire.shutdown(SHUT_WR)
        wire.recv(65_536)  # closed before that is read, it would be reset

    return speak


def alert(number: int) -> Peer:
    """Return a peer that answers a handshake with a fatal alert."""
    return speaks(bytes([21, 3, 3, 0, 2, 2, number]))


def older(made: Authorities) -> ssl.SSLContext:
    context = made.context("good")
    with pytest.deprecated_call():
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def demanding(made: Authorities) -> ssl.SSLContext:
    """In TLS 1.2, in which the client learns of it before it sends a request."""
    context = made.context("good")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(made.folder / "root.pem")
    return context


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    """Authorities, and a certificate of each kind."""
    require("openssl")
    made = Authorities(tmp_path_factory.mktemp("tls"))
    made.leaf("good")
    made.leaf("named", extensions=("subjectAltName=DNS:localhost",))
    made.leaf("expired", "-startdate", "20200101000000Z", "-enddate", "20210101000000Z")
    made.leaf("early", "-startdate", "20480101000000Z", "-enddate", "20490101000000Z")
    made.leaf("other host", extensions=("subjectAltName=DNS:example.org",))
    made.leaf("other address", extensions=("subjectAltName=IP:127.0.0.2",))
    made.leaf("no name", extensions=("extendedKeyUsage=serverAuth",))
    made.leaf("unknown authority", by="other")
    made.leaf("incomplete", by="between")
    made.leaf("a client's", extensions=(HERE, "extendedKeyUsage=clientAuth"))
    made.leaf("weak", key=("rsa:1024",))
    made.leaf("SHA-1", "-md", "sha1")
    made.self_signed("self-signed", HERE)
    return made


UNTRUSTED = {
    "expired": "has expired, by this machine's clock",
    "early": "is not valid yet, by this machine's clock",
    "other host": "its certificate is for another host",
    "other address": "its certificate is for another host",
    "no name": "its certificate is for another host",
    "unknown authority": NO_AUTHORITY,
    "incomplete": NO_AUTHORITY,
    "self-signed": "its certificate is self-signed, and not trusted here",
    "a client's": "its certificate is not for a server",
    "weak": "its certificate has a key that is too weak",
    "SHA-1": "its certificate has a signature that is too weak",
}
OTHERS: dict[str, tuple[Callable[[Authorities], Peer], str]] = {
    "an old version": (older, "it supports only outdated versions of TLS"),
    "a certificate demanded": (demanding, "it refuses the handshake"),
    "plain HTTP": (lambda _: speaks(b"HTTP/1.1 400 Bad Request\r\n\r\n"), PLAIN),
    "SSH": (lambda _: speaks(b"SSH-2.0-OpenSSH_9.2\r\n"), PLAIN),
    "no such name": (lambda _: alert(112), "it does not know this host name"),
    "access denied": (lambda _: alert(49), "access denied"),
}
ACCIDENTS: dict[str, tuple[Peer, str]] = {
    "closed at once": (lambda _: None, "the connection was lost"),
    "closed in the handshake": (speaks(b""), "the connection was lost"),
    "cut off in the handshake": (speaks(b"\x16\x03\x03\x00\x7a\x02"), "the connection was lost"),
    "an internal error": (alert(80), "it reports an internal error of its TLS"),
}


def logs_of(
    target: Target, made: Authorities, what: Peer, status: int, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Run the target, `check` and `status`, which must exit with `status`; return their output."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.folder / "root.pem"))
    with peer(what, CREATED) as (url, seen):
        run = target.run(MESSAGES, "-q", api_url=url, max_retry_seconds=0.01)
        commands = [
            tool(target.folder, name, api_url=url, token=TOKEN) for name in ("check", "status")
        ]
    assert [run.status, *(each.status for each in commands)] == [status] * 3
    assert run.states == []
    assert seen == []
    said = [each.log for each in (run, *commands)]
    assert not [each for each in said if url.removeprefix("https://") not in each]
    return said


@pytest.mark.parametrize("name", UNTRUSTED)
def test_an_untrusted_certificate_ends_the_run_at_once(
    target: Target, made: Authorities, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for said in logs_of(target, made, made.context(name), 76, monkeypatch):
        assert UNTRUSTED[name] in said
        assert "Check `api_url`, the machine's clock and certificates" in said
        assert "Trying again" not in said


@pytest.mark.parametrize("name", OTHERS)
def test_an_incompatible_peer_ends_the_run_at_once(
    target: Target, made: Authorities, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    what, words = OTHERS[name]
    for said in logs_of(target, made, what(made), 76, monkeypatch):
        assert words in said
        assert "Trying again" not in said


@pytest.mark.parametrize("name", ACCIDENTS)
def test_a_broken_handshake_is_retried(
    target: Target, made: Authorities, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    what, words = ACCIDENTS[name]
    run, *commands = logs_of(target, made, what, 69, monkeypatch)
    assert "Retrying in" in run
    for said in (run, *commands):
        assert words in said


def test_a_certificate_of_a_trusted_authority_is_accepted(
    target: Target, made: Authorities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the other certificates are refused only for their own defects."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.folder / "root.pem"))
    with peer(made.context("good", ANY_CIPHER), CREATED) as (url, seen):
        outcome = target.run(MESSAGES, api_url=url)
    assert (outcome.status, outcome.states) == (0, ["1"])
    assert TOKEN.encode() in seen[0]


def test_the_host_name_is_sent_in_the_tls_handshake(
    target: Target, made: Authorities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the right certificate only for that name."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.folder / "root.pem"))
    server, named = made.context("other host"), made.context("named")

    def choose(wire: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name == "localhost":
            wire.context = named

    server.sni_callback = choose
    with peer(server, CREATED) as (url, _):
        outcome = target.run(MESSAGES, api_url=url.replace("127.0.0.1", "localhost"))
    assert (outcome.status, outcome.states) == (0, ["1"])


def test_a_server_may_negotiate_again_before_it_answers(
    target: Target, made: Authorities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As TLS 1.2 lets it; `R` has `openssl s_server` do so, anything longer is sent as it is."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.folder / "root.pem"))
    server = ["openssl", "s_server", "-tls1_2", "-accept", "127.0.0.1:0"]
    server += ["-cert", "good.pem", "-key", "good.key"]
    with started(server, made.folder, stderr=subprocess.STDOUT) as process:
        said = stream(process.stdout)
        address = next(line for line in said if line.startswith(b"ACCEPT ")).split()[1].decode()
        with running(target, api_url=f"https://{address}") as client:
            stream(client.stdin).write(lines(MESSAGES))
            stream(client.stdin).close()
            client.stdin = None  # closed
            for awaited, given in ((b'"sequence"', b"R\n"), (b"SSL_do_handshake -> 1", CREATED)):
                text = b""
                while awaited not in text:
                    text += os.read(said.fileno(), 65_536) or pytest.fail(text.decode())
                stream(process.stdin).write(given)
                stream(process.stdin).flush()
            status, states, _ = end(client)
    assert (status, states) == (0, [b"1"])
