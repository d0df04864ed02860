"""The token goes only to the configured host, over TLS, and appears nowhere else."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.config.settings import Settings
from target_stitch_import.delivery.answer import Answer, End, Failure
from target_stitch_import.delivery.verdict import Acknowledged, BodyRefused, Stop, judge
from target_stitch_import.endpoints import Endpoint
from target_stitch_import.local import ImportApi as LocalApi
from target_stitch_import.local import Strictness
from target_stitch_import.run.http import ImportApiClient
from target_stitch_import.run.http_client import HttpClient
from tests.support.programs import require
from tests.support.servers import receive, server
from tests.support.singer import record, schema, state
from tests.support.target import TOKEN, Target
from tests.support.toolbox import tool

if TYPE_CHECKING:
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
MESSAGES = [schema(), record(1), state(1)]


def certificate(folder: Path, *, host: str = "127.0.0.1") -> ssl.SSLContext:
    """Return a server's context with a self-signed certificate that is not trusted."""
    require("openssl")
    command = [
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={host}"),
        *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        *("-days", "2", "-addext", f"subjectAltName=IP:{host}"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_an_untrusted_certificate_ends_the_run_before_the_token_is_sent(
    target: Target, tmp_path: Path
) -> None:
    with server([OK], certificate(tmp_path)) as (url, seen):
        outcome = target.run(MESSAGES, api_url=url)
    assert (outcome.status, outcome.states) == (76, [])
    assert "certificate" in outcome.log
    assert seen == []


def test_a_trusted_certificate_for_another_host_is_refused(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = certificate(tmp_path, host="127.0.0.2")
    # Not this machine by name, so that the environment's certificates count.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
    with server([OK], context) as (url, seen):
        host = socket.gethostname()
        outcome = target.run(MESSAGES, api_url=url.replace("127.0.0.1", host), max_retry_seconds=1)
    assert outcome.states == []
    assert seen == []


@pytest.mark.parametrize("variable", ["CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PYTHONHTTPSVERIFY"])
@pytest.mark.parametrize("value", ["", "0", "false"])
def test_no_variable_switches_verification_off(
    target: Target,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("TARGET_STITCH_SSL_VERIFY", "false")
    with server([OK], certificate(tmp_path)) as (url, seen):
        outcome = target.run(MESSAGES, api_url=url, max_retry_seconds=1)
    assert outcome.states == []
    assert seen == []


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_company_s_certificates_count_for_this_machine_too(
    target: Target, tmp_path: Path, *, is_trusted: bool
) -> None:
    """Of a local Import API that made its certificate itself, as `serve --tls-self-signed` does."""
    require("openssl")
    pair = tmp_path / "pair"
    with LocalApi(tls_self_signed=pair) as api:
        target.environment["REQUESTS_CA_BUNDLE"] = str(pair / "cert.pem") if is_trusted else ""
        assert api.url.startswith("https://127.0.0.1:")
        outcome = target.run(MESSAGES, api_url=api.url)
        assert len(api.requests()) == is_trusted
        checked = tool(
            tmp_path, "check", environment=target.environment, api_url=api.url, token=TOKEN
        )
    if is_trusted:
        assert (outcome.status, outcome.states, checked.status) == (0, ["1"], 0)
        return
    assert (outcome.status, outcome.states, checked.status) == (76, [], 76)
    for log in (outcome.log, checked.log):
        assert "TLS failed: 127.0.0.1:" in log
        assert "REQUESTS_CA_BUNDLE" in log


def test_tls_to_a_port_without_it_ends_the_run(target: Target) -> None:
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                received.append(connection.recv(65_536))
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        outcome = target.run(MESSAGES, api_url=url)
    assert (outcome.status, outcome.states) == (76, [])
    assert received
    assert TOKEN.encode() not in received[0]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "http://someone:S3CRET@127.0.0.1:99999"),
        ("REQUESTS_CA_BUNDLE", "/nowhere.pem"),
    ],
)
def test_an_environment_that_cannot_work_ends_the_run(
    target: Target, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    outcome = target.run(MESSAGES, api_url="https://api.example.com")
    assert (outcome.status, outcome.states) == (76, [])
    assert "S3CRET" not in outcome.log


def test_redirects_are_not_followed_and_the_other_host_sees_nothing(target: Target) -> None:
    with server([OK, OK]) as (other, seen_there):
        for status in (301, 302, 303, 307, 308):
            answer = b"HTTP/1.1 %d X\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n"
            with server([answer % (status, other.encode())]) as (url, _):
                outcome = target.run(MESSAGES, api_url=url)
            assert (outcome.status, outcome.states) == (76, [])
        assert seen_there == []


def test_netrc_and_proxies_do_not_apply_to_localhost(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with server([OK]) as (url, seen):
        outcome = target.run(MESSAGES, api_url=url)
    assert (outcome.status, outcome.states) == (0, ["1"])
    assert f"authorization: bearer {TOKEN}".encode() in seen[0].lower()


def test_netrc_never_replaces_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the environment applies: the headers of a session for another host are checked."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    url = "https://api.example.com/v2/import/batch"
    client = HttpClient(url, "the-token", "an agent")
    assert client._session.trust_env
    route = client._route("POST", url, with_token=True)
    assert route.headers["Authorization"] == "Bearer the-token"


def answer_of(text: bytes, **settings: Any) -> Any:
    """Return the client's result for one response."""
    with server([text]) as (url, _):
        settings = {"request_timeout_seconds": 1.0} | settings
        return ImportApiClient(Endpoint(url, url, TOKEN, **settings)).send_batch(b"{}")


def test_an_endless_response_is_read_only_up_to_the_limit() -> None:
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 1_000_000
    answer = answer_of(text)
    assert (answer.status, answer.end) == (200, End.TRUNCATED)
    assert len(answer.body) <= 200_000


def test_an_endless_compressed_response_is_not_decompressed_further() -> None:
    packed = gzip.compress(b" " * 100_000_000)[:60_000]
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    answer = answer_of(head % len(packed) + packed)
    assert (answer.status, answer.end) == (200, End.TRUNCATED)
    assert len(answer.body) == 64_001


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", Failure.CUT_OFF),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n{}", Failure.CUT_OFF),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Failure.CUT_OFF),
        (b"", Failure.LOST),
        (b"SSH-2.0-OpenSSH\r\n", Failure.LOST),
    ],
)
def test_an_incomplete_response_is_not_an_acknowledgement(text: bytes, failure: Failure) -> None:
    answer = answer_of(text)
    assert answer.status is None or not 200 <= answer.status < 300
    assert answer.failure is failure


def test_a_response_that_arrives_byte_by_byte_is_accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                receive(connection)
                for at in range(len(OK)):
                    connection.sendall(OK[at : at + 1])

        threading.Thread(target=drip, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert ImportApiClient(Endpoint(url, url, TOKEN, 10.0)).send_batch(b"{}").status == 200


def test_the_token_is_cut_out_of_answers() -> None:
    body = b'{"message":"no such token ' + TOKEN.encode() + b'"}'
    answer = answer_of(b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    verdict = judge(answer, 0.0)
    assert isinstance(verdict, Stop)
    assert "no such token […]" in str(verdict.error)


def test_no_output_of_a_run_contains_the_token_or_a_value(
    target: Target, api: LocalApi, tmp_path: Path
) -> None:
    """A verbose run in which everything fails; every byte that it has written is searched."""
    echo = {"error": f"Record 1 is bad, token {TOKEN}"}
    api.set_faults(
        [
            {"kind": "status", "status": 500, "body": echo},
            {"kind": "reset_after"},
            {"kind": "status", "status": 400, "body": echo, "times": 2},
        ]
    )
    settings = {
        "on_invalid_record": "dead_letter",
        "dead_letter_path": str(tmp_path / "dead.jsonl"),
        "summary_path": str(tmp_path / "summary.json"),
        "batch_size_rows": 5,
    }
    rows = [record(n, name=f"S3CRET-{n}") for n in range(20)]
    for name in ("dead.jsonl", "summary.json", "bodies.jsonl"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o664)  # as something else may have made them
    bad = record(0, id="S3CRET-id")
    messages = [schema(), *rows, bad, state({"at": 1}), '{"type":"RECORD","S3CRET"']
    outcome = target.run(messages, "-v", "-o", str(tmp_path / "bodies.jsonl"), **settings)
    assert outcome.status == 65
    assert "S3CRET" not in outcome.log
    left = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert set(left) == {"config.json", "dead.jsonl", "summary.json", "bodies.jsonl"}
    assert [name for name, text in left.items() if TOKEN in text] == ["config.json"]
    assert "S3CRET" not in left["summary.json"]
    dead_letters = [json.loads(line) for line in left["dead.jsonl"].splitlines()]
    assert not [each for each in dead_letters if "S3CRET" in each["reason"]]
    modes = {(tmp_path / name).stat().st_mode & 0o777 for name in left if name != "config.json"}
    assert modes == {0o600}


LIVE_WORDS = [
    "#/at: [S3CRET-1] is not a valid date-time. Expected [yyyy-MM-dd'T'HH:mm:ssZ]",
    "#/name: S3CRET-1 is not a valid enum value",
    "#/name: string [S3CRET-1] does not match pattern ^a",
    r"#/name: string [S3CRET \"2\" \u00fc] does not match pattern ^a",
    "#/cost: 90210.50 is not less or equal to 3",
    "#/cost: 90210.5 is not a multiple of 7",
    "#/n: 5 is not a valid enum value",
    "#/code: [X] is not a valid date-time.",
    "#/long: S3CRET, and more of it that the answer bre",
]
RECORD_DATA = (
    r'{"id":17,"at":"S3CRET-1","name":"S3CRET \"2\" \u00fc","cost":90210.5,"n":5,"code":"X",'
    '"deep":[{"S3CRET":"S3CRET-1"}],"long":"S3CRET, and more of it that the answer breaks off in"}'
)


@pytest.mark.parametrize("words", LIVE_WORDS)
@pytest.mark.parametrize("status", [400, 413, 422, 500, 404])
def test_no_record_value_is_shown_in_a_message_of_the_service(words: str, status: int) -> None:
    """Whatever the outcome of the request, also for a whole batch. Names and rules are kept."""
    other = '{"action":"upsert","sequence":1,"data":{"id":1,"name":"other"}}'
    message = f'{{"action":"upsert","sequence":2,"data":{RECORD_DATA}}}'
    text = f'{{"error":"Record 1 did not conform to schema: {words}"}}'
    columns = ",".join(f'"{name}":{{}}' for name in ("at", "name", "cost", "n", "code", "long"))
    batch = f'{{"schema":{{"properties":{{{columns}}}}},"messages":[{other},{message}]}}'
    bodies = batch, f"[{message}]"
    for body in bodies:
        verdict = judge(Answer(status, text.encode()), 0.0, body.encode())
        assert not isinstance(verdict, Acknowledged)
        shown = str(verdict.error if isinstance(verdict, Stop) else verdict.reason)
        assert not [each for each in ("S3CRET", "90210", " 5 ", "[X]") if each in shown]
        assert f"{words.partition(':')[0]}: " in shown
        assert "[…]" in shown
        assert "Record 1 did not conform to schema" in shown
        assert not isinstance(verdict, BodyRefused) or verdict.record == 1


def test_the_response_to_an_unreadable_request_is_not_shown() -> None:
    verdict = judge(Answer(400, b"S3CRET"), 0.0, b'{"messages":[{"data":{"a":tru}}]}')
    assert isinstance(verdict, BodyRefused)
    assert "S3CRET" not in verdict.reason


@pytest.mark.parametrize("on_invalid_record", ["fail", "dead_letter"])
def test_a_refusal_in_the_wording_of_stitch_shows_no_value(
    target: Target, tmp_path: Path, on_invalid_record: str
) -> None:
    """In the service's own wording, which quotes values; the record is found by halving."""
    columns: dict[str, Any] = {
        "at": {"type": "string", "format": "date-time"},
        "kind": {"type": "string", "enum": ["a", "b"]},
    }
    rows = [record(n, at="2024-01-31T23:59:59Z") for n in range(20)]
    bad = [record(77, at="S3CRET-at"), record(78, kind="S3CRET-kind")]
    settings = {
        "validate_records": False,
        "on_invalid_record": on_invalid_record,
        "dead_letter_path": str(tmp_path / "dead.jsonl"),
        "summary_path": str(tmp_path / "summary.json"),
    }
    with LocalApi(strictness=Strictness(live_messages=True)) as api:
        messages = [schema(**columns), *rows, *bad, state(1)]
        outcome = target.run(messages, "-v", api_url=api.url, **settings)
        dead_letters = tmp_path / "dead.jsonl"
        reasons = ""
        if on_invalid_record == "dead_letter":
            assert outcome.status == 0
            reasons = str(
                [json.loads(each)["reason"] for each in dead_letters.read_text().splitlines()]
            )
            assert "#/at: […] is not a valid date-time" in reasons
            assert "#/kind: […] is not a valid enum value" in reasons
            replayed = tool(tmp_path, "replay", str(dead_letters), api_url=api.url, token=TOKEN)
            assert (replayed.status, "S3CRET" in replayed.log) == (65, False)
        else:
            assert (outcome.status, "[…]" in outcome.log) == (65, True)
    assert "S3CRET" not in outcome.log + reasons + (tmp_path / "summary.json").read_text()


def test_settings_can_be_shown_without_their_token() -> None:
    settings = Settings.load({"token": "S3CRET"})
    assert "S3CRET" not in repr((settings, settings.endpoint("an agent")))
