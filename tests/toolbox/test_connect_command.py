"""`stitch-import source` and `token`: sources and tokens, through a local Stitch Connect."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from target_stitch_import.local import ImportApi
from target_stitch_import.toolbox.connect import ConnectApi
from tests.support.connect import CONNECT_TOKEN, CREATED, answer
from tests.support.servers import server
from tests.support.target import Outcome
from tests.support.toolbox import TOOL, document, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCOUNTS = {
    "clients": [
        {
            "client_id": 7723,
            "connect_tokens": [CONNECT_TOKEN],
            "sources": [
                {"id": 1, "display_name": "None", "tokens": []},
                {"id": 2, "display_name": "One", "tokens": [{"id": 21, "token": "at_one"}]},
                {
                    "id": 3,
                    "display_name": "Two",
                    "paused_at": CREATED,
                    "tokens": [{"id": 31, "token": "at_a"}, {"id": 32, "token": "at_b"}],
                },
            ],
        }
    ],
}
SECRET = re.compile(r"at_[0-9a-f]{48}")


@pytest.fixture(scope="module")
def _running() -> Iterator[ImportApi]:
    with ImportApi(accounts=ACCOUNTS) as api:
        yield api


@pytest.fixture
def connect(_running: ImportApi) -> ImportApi:
    _running.reset()
    return _running


def run(
    folder: Path, api: ImportApi, *arguments: str, token: str = CONNECT_TOKEN, stdin: bytes = b""
) -> Outcome:
    """Run a command with a Connect token."""
    environment = {"STITCH_CONNECT_TOKEN": token}
    outcome = tool(folder, *arguments, stdin=stdin, environment=environment, api_url=api.url)
    assert CONNECT_TOKEN not in outcome.log + "".join(outcome.states)
    assert not SECRET.search(outcome.log)
    return outcome


def tokens(api: ImportApi, source_id: int) -> list[int]:
    """Return the IDs of a source's active tokens."""
    found = ConnectApi(api.url, CONNECT_TOKEN, "test").tokens(source_id)
    return sorted(each.token_id for each in found)


def accepted(folder: Path, api: ImportApi, secret: str) -> bool:
    """Return whether the Import API accepts a token."""
    return tool(folder, "check", api_url=api.url, token=secret).status == 0


def test_a_source_is_created_and_shown(connect: ImportApi, tmp_path: Path) -> None:
    outcome = run(tmp_path, connect, "source", "create", "My Shop", "--json")
    made = document(outcome)
    again = f"token create {made['id']} -c {tmp_path / 'tool.json'}"
    assert outcome.log == f"Create a token for it: stitch-import {again}\n"
    assert (made["name"], made["display_name"], made["state"]) == ("my_shop", "My Shop", "active")
    assert made["client_id"] == 7723
    assert document(run(tmp_path, connect, "source", "show", str(made["id"]), "--json")) == made
    every = document(run(tmp_path, connect, "source", "show", "--json"))
    assert [each["name"] for each in every] == ["none", "one", "two", "my_shop"]
    assert [each["state"] for each in every] == ["active", "active", "paused", "active"]
    shown = run(tmp_path, connect, "source", "show").states
    assert shown[0].split() == ["ID", "SCHEMA", "NAME", "STATE", "CREATED"]
    assert shown[3].split() == ["3", "two", "Two", "paused", CREATED]


def test_tokens_are_listed_without_their_secrets(connect: ImportApi, tmp_path: Path) -> None:
    outcome = run(tmp_path, connect, "token", "list", "3")
    rows = [each.split() for each in outcome.states]
    assert rows == [["ID", "CREATED"], ["32", CREATED], ["31", CREATED]]
    listed = document(run(tmp_path, connect, "token", "list", "2", "--json"))
    assert listed == [{"id": 21, "created_at": CREATED}]


def test_a_token_is_created_shown_once_and_revoked(connect: ImportApi, tmp_path: Path) -> None:
    outcome = run(tmp_path, connect, "token", "create", "2")
    (secret,) = outcome.states
    assert SECRET.fullmatch(secret)
    assert "shown only once" in outcome.log
    (new,) = set(tokens(connect, 2)) - {21}
    assert f"Token {new} of source 2 is created" in outcome.log
    assert accepted(tmp_path, connect, secret)
    refused = run(tmp_path, connect, "token", "revoke", "2", str(new))
    assert (refused.status, "give --yes" in refused.log) == (78, True)
    assert accepted(tmp_path, connect, secret)
    revoked = run(tmp_path, connect, "token", "revoke", "2", str(new), "--yes", "--json")
    assert document(revoked) == {"source_id": 2, "revoked_id": new}
    assert not accepted(tmp_path, connect, secret)


def test_a_created_token_is_a_json_document(connect: ImportApi, tmp_path: Path) -> None:
    made = document(run(tmp_path, connect, "token", "create", "1", "--json"))
    assert (made["source_id"], [made["id"]]) == (1, tokens(connect, 1))
    assert accepted(tmp_path, connect, made["access_token"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("source create One", "InvalidName; non-unique name (One)"),
        ("source create ####", "invalid name after deriving it"),
        ("source show 99", "InvalidId; source not found (99)"),
        ("token list 99", "InvalidId; source not found (99)"),
        ("token create 3", "has 2 active tokens already, 32 and 31"),
        ("token revoke 2 99 --yes", "InvalidId; token not found (99)"),
        ("token rotate 1 --deploy true", "no active token to replace"),
        ("token rotate 3 --deploy true", "token revoke 3 ID"),
    ],
)
def test_a_refused_command_is_reported(
    connect: ImportApi, tmp_path: Path, arguments: str, words: str
) -> None:
    outcome = run(tmp_path, connect, *arguments.split(), "--json")
    assert (outcome.status, words in outcome.log) == (65, True)
    assert document(outcome) == {"error": outcome.log.strip(), "exit_status": 65}
    assert [tokens(connect, each) for each in (1, 2, 3)] == [[], [21], [31, 32]]


@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        ("ac_wrong", 77, "refused the token: 401"),
        ("", 78, "STITCH_CONNECT_TOKEN is missing"),
        ("ac_with a space", 78, "STITCH_CONNECT_TOKEN"),
    ],
)
def test_an_unusable_connect_token_is_reported(
    connect: ImportApi, tmp_path: Path, token: str, status: int, words: str
) -> None:
    outcome = run(tmp_path, connect, "source", "show", token=token)
    assert (outcome.status, words in outcome.log) == (status, True)
    assert not token or token not in outcome.log


def test_the_connect_token_goes_over_tls_alone(tmp_path: Path) -> None:
    outcome = tool(tmp_path, "source", "show", "--api-url", "http://example.com", region="us")
    assert (outcome.status, "must start with https://" in outcome.log) == (78, True)


def test_a_script_rotates_a_token_with_a_deploy_command(connect: ImportApi, tmp_path: Path) -> None:
    """Only the command gets the new token; the old one is valid until the command has ended."""
    program = tmp_path / "deploy.py"
    program.write_text(
        "import pathlib, sys, requests; token = sys.stdin.read()\n"
        f"pathlib.Path({str(tmp_path / 'deployed')!r}).write_text(token)\n"
        "for each in (token, 'at_one'):\n"
        f"    answer = requests.post('{connect.url}/v2/import/batch', data='{{}}', headers={{\n"
        "        'Content-Type': 'application/json', 'Authorization': f'Bearer {each}'})\n"
        "    assert answer.status_code == 400, answer.text\n"
        "print('deployed')\n"
    )
    deploy = f"{sys.executable} {program}"
    outcome = run(tmp_path, connect, "token", "rotate", "2", "--deploy", deploy, "--json")
    assert outcome.status == 0, outcome.log
    (new,) = tokens(connect, 2)
    assert document(outcome) == {"source_id": 2, "id": new, "revoked_id": 21}
    assert accepted(tmp_path, connect, (tmp_path / "deployed").read_text())
    assert not accepted(tmp_path, connect, "at_one")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("false", "ended with status 1. The new token 33 is revoked; the old one"),
        ("/no/such/program", "cannot be run"),
    ],
)
def test_a_deployment_that_fails_changes_nothing(
    connect: ImportApi, tmp_path: Path, command: str, words: str
) -> None:
    outcome = run(tmp_path, connect, "token", "rotate", "2", "--deploy", command)
    assert (outcome.status, outcome.states) == (65, [])
    assert words in outcome.log
    assert tokens(connect, 2) == [21]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_rotating_needs_a_terminal(connect: ImportApi, tmp_path: Path, options: list[str]) -> None:
    """A `yes` in a pipe would revoke a token that is still in use."""
    outcome = run(tmp_path, connect, "token", "rotate", "2", *options, stdin=b"y\n")
    assert (outcome.status, "--deploy" in outcome.log) == (78, True)
    assert tokens(connect, 2) == [21]


def at_a_terminal(api: ImportApi, answer: bytes, *arguments: str) -> Outcome:
    """Run a command in a terminal, with `answer` as the input to its prompt."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [*TOOL, *arguments, "--api-url", api.url],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "STITCH_CONNECT_TOKEN": CONNECT_TOKEN},
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, answer)
    stdout, stderr = child.communicate(timeout=60)
    os.close(ours)
    return Outcome(child.returncode, stdout.splitlines(), stderr)


@pytest.mark.parametrize(
    ("answer", "status", "left", "words"),
    [
        (b"y\n", 0, [33], "Token 21 is revoked"),
        (b"n\n", 0, [21, 33], "stitch-import token revoke 2 21"),
        (b"\n", 0, [21, 33], "stitch-import token revoke 2 21"),
        (b"\x04", 130, [21, 33], "stitch-import token revoke 2 21"),
    ],
)
def test_a_person_confirms_a_rotation(
    connect: ImportApi, answer: bytes, status: int, left: list[int], words: str
) -> None:
    """The old token is revoked only after the person confirms that the new one is deployed."""
    outcome = at_a_terminal(connect, answer, "token", "rotate", "2")
    assert (outcome.status, tokens(connect, 2)) == (status, left)
    assert words in outcome.log
    (secret,) = outcome.states
    assert SECRET.fullmatch(secret)
    assert secret not in outcome.log


@pytest.mark.parametrize(("answer", "left"), [(b"y\n", []), (b"n\n", [21])])
def test_a_person_confirms_a_revocation(connect: ImportApi, answer: bytes, left: list[int]) -> None:
    outcome = at_a_terminal(connect, answer, "token", "revoke", "2", "21")
    assert (outcome.status, tokens(connect, 2)) == (130 if left else 0, left)


def test_sources_of_other_kinds_and_deleted_ones_are_left_out(tmp_path: Path) -> None:
    """Properties of a source are not shown, because they may have secrets."""
    kinds = [
        {"id": 1, "type": "postgres"},
        {"id": 2, "type": "import_api", "deleted_at": CREATED},
        {"id": 3, "type": "import_api", "properties": {"token": {"7": "at_old"}}},
    ]
    body = json.dumps([{"name": f"s{each['id']}"} | each for each in kinds])
    environment = {"STITCH_CONNECT_TOKEN": CONNECT_TOKEN}
    for option in ([], ["--json"]):
        with server([answer(200, body)]) as (url, _):
            outcome = tool(
                tmp_path, "source", "show", *option, environment=environment, api_url=url
            )
        text = "\n".join(outcome.states)
        assert ("s1" in text, "s2" in text, "s3" in text) == (False, False, True)
        assert "at_old" not in text


def test_json_is_one_document_with_the_secret_in_one_place(
    connect: ImportApi, tmp_path: Path
) -> None:
    outcome = run(tmp_path, connect, "token", "create", "1", "--json")
    text = "\n".join(outcome.states)
    assert len(SECRET.findall(text)) == 1
    json.loads(text)


@pytest.mark.parametrize("command", ["", " ", "'"])
def test_an_invalid_command_is_refused_before_a_token_is_created(
    connect: ImportApi, tmp_path: Path, command: str
) -> None:
    outcome = run(tmp_path, connect, "token", "rotate", "2", "--deploy", command)
    assert (outcome.status, "The command of --deploy" in outcome.log) == (78, True)
    assert tokens(connect, 2) == [21]


ONE = answer(200, "[21]")
NEW = answer(200, '{"id":33,"access_token":"at_new"}')
AWAY = answer(503, "")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "true",
            "Token 33 is deployed. Token 21 may still be active: stitch-import token revoke 2 21 ",
        ),
        ("false", "Token 33 may still be active: stitch-import token revoke 2 33 "),
    ],
)
def test_a_failed_revocation_reports_what_is_active(
    tmp_path: Path, command: str, words: str
) -> None:
    environment = {"STITCH_CONNECT_TOKEN": CONNECT_TOKEN}
    with server([ONE, NEW, AWAY]) as (url, seen):
        arguments = ("token", "rotate", "2", "--deploy", command, "--api-url", url)
        outcome = tool(tmp_path, *arguments, environment=environment)
    assert (outcome.status, len(seen)) == (69, 3)
    assert f"{words}--api-url {url}" in outcome.log


def test_an_interrupted_deployment_reports_what_is_active(connect: ImportApi) -> None:
    """It is then unknown which of the two tokens is used."""
    arguments = ["token", "rotate", "2", "--deploy", "sh -c 'echo on; exec sleep 30'"]
    child = subprocess.Popen(
        [*TOOL, *arguments, "--api-url", connect.url],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "STITCH_CONNECT_TOKEN": CONNECT_TOKEN},
        start_new_session=True,
    )
    with child:
        assert child.stderr
        for line in child.stderr:
            if line == "on\n":
                break
        os.killpg(child.pid, signal.SIGINT)
        log = child.stderr.read()
    assert child.returncode == 130
    assert "It is unknown whether token 33 is deployed" in log
    assert f"stitch-import token revoke 2 ID --api-url {connect.url}" in log


def test_the_command_does_not_get_the_connect_token(connect: ImportApi, tmp_path: Path) -> None:
    command = "sh -c 'test -z \"$STITCH_CONNECT_TOKEN\"'"
    assert run(tmp_path, connect, "token", "rotate", "2", "--deploy", command).status == 0
