"""Makes valid and invalid certificates, and runs TLS servers, or servers without TLS."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tests.support.servers import receive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HERE = "subjectAltName=IP:127.0.0.1"
ANY_CIPHER = "DEFAULT:@SECLEVEL=0"
_EC = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
_SETTINGS = """
[ca]
default_ca = made
[made]
database = index.txt
new_certs_dir = .
default_md = sha256
default_days = 10
policy = policy
unique_subject = no
rand_serial = yes
copy_extensions = copy
[policy]
commonName = supplied
"""

Peer: TypeAlias = "ssl.SSLContext | Callable[[socket.socket], None]"
"""The TLS context of a server, or a function that handles a connection without TLS."""


@dataclass(frozen=True)
class Authorities:
    """Makes certificates with `openssl` in a folder; clients are to trust those of `root`."""

    folder: Path

    def __post_init__(self) -> None:
        """Make `root`, and `other`, which must not be trusted."""
        (self.folder / "settings").write_text(_SETTINGS)
        (self.folder / "index.txt").touch()
        for name in ("root", "other"):
            self.self_signed(name, "keyUsage=critical,keyCertSign")
        self.leaf("between", extensions=("basicConstraints=critical,CA:TRUE",))

    def self_signed(self, name: str, *extensions: str) -> None:
        """Make a self-signed certificate."""
        self._request(name, _EC, extensions, "-x509", "-days", "10")

    def leaf(
        self,
        name: str,
        *options: str,
        by: str = "root",
        extensions: tuple[str, ...] = (HERE,),
        key: tuple[str, ...] = _EC,
    ) -> None:
        """Make a certificate that is signed by another; `options` are those of `openssl ca`."""
        self._request(name, key, extensions)
        self._openssl(
            *("ca", "-batch", "-notext", "-config", "settings", "-in", f"{name}.pem"),
            *("-cert", f"{by}.pem", "-keyfile", f"{by}.key", "-out", f"{name}.pem", *options),
        )

    def context(self, name: str, ciphers: str = ANY_CIPHER) -> ssl.SSLContext:
        """Return a server's TLS context, which allows more than clients do."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(ciphers)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    def _request(
        self, name: str, key: tuple[str, ...], extensions: tuple[str, ...], *options: str
    ) -> None:
        added = [word for each in extensions for word in ("-addext", each)]
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
        self._openssl(
            "req", "-newkey", *key, "-nodes", "-subj", f"/CN={name}", *files, *added, *options
        )

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


@contextmanager
def peer(what: Peer, answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Answer every request over TLS; yield the URL, and the list of requests seen."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

        def converse(connection: socket.socket) -> None:
            connection.settimeout(10)
            with connection, suppress(OSError):
                if not isinstance(what, ssl.SSLContext):
                    what(connection)
                    return
                with what.wrap_socket(connection, server_side=True) as wire:
                    seen.append(receive(wire))
                    wire.sendall(answer)

        def serve_until_closed() -> None:
            with suppress(OSError):
                serve()

        threading.Thread(target=serve_until_closed, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", seen


@contextmanager
def nested_tls_proxy(
    outer: ssl.SSLContext, inner: ssl.SSLContext, answers: list[list[bytes]]
) -> Iterator[str]:
    """Run a proxy that clients reach over TLS, and the service behind it; yield the proxy's URL.

    Each connection has one request, answered with the next of `answers`: texts that are sent at
    once, each in a TLS record of its own. The last connection is then closed without an alert;
    the others stay open until the client closes them.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def serve() -> None:
            for number, texts in enumerate(answers, 1):
                connection, _ = listener.accept()
                connection.settimeout(10)
                with suppress(OSError), outer.wrap_socket(connection, server_side=True) as wire:
                    receive(wire)
                    wire.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    _answer_inside(wire, inner, texts)
                    if number < len(answers):
                        wire.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


def _answer_inside(wire: ssl.SSLSocket, context: ssl.SSLContext, texts: list[bytes]) -> None:
    """Answer a request over TLS inside of the TLS of `wire`."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    request = b""
    while not request.endswith(b"\r\n\r\n{}"):
        try:
            request += tls.read(65_536)
        except ssl.SSLWantReadError:
            wire.sendall(outgoing.read())
            if not (received := wire.recv(65_536)):
                raise ConnectionError from None
            incoming.write(received)
    for text in filter(None, texts):
        tls.write(text)
    wire.sendall(outgoing.read())
