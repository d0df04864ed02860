"""`stitch-import`: the commands that connect to an Import API, and errors of all commands."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.endpoints import REGION_URLS
from target_stitch_import.local import ImportApi
from target_stitch_import.toolbox.common import ConnectionOptions
from tests.support.command_line import CLOSED_PIPE, run_into_closed_pipe
from tests.support.servers import server
from tests.support.target import TOKEN
from tests.support.toolbox import TOOL, document, tool

if TYPE_CHECKING:
    from pathlib import Path


def test_status_reports_whether_the_service_is_available(api: ImportApi, tmp_path: Path) -> None:
    outcome = tool(tmp_path, "status", api_url=api.url)
    assert (outcome.status, '"status":"OK"' in outcome.states[0]) == (0, True)
    api.set_faults([{"kind": "down"}])
    outcome = tool(tmp_path, "status", api_url=api.url)
    assert (outcome.status, "is not available: 503" in outcome.log) == (69, True)
    outcome = tool(tmp_path, "status", api_url="http://127.0.0.1:9")
    assert (outcome.status, "connection refused" in outcome.log) == (69, True)


@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        ("good", 0, "valid for this region"),
        ("bad", 77, "refused the token"),
        ("european", 77, "other region"),
        ("paused", 77, "paused or deleted"),
    ],
)
def test_check_reports_whether_the_token_is_valid(
    strict_api: ImportApi, tmp_path: Path, token: str, status: int, words: str
) -> None:
    outcome = tool(tmp_path, "check", api_url=strict_api.url, token=token)
    assert outcome.status == status
    assert words in outcome.log + "\n".join(outcome.states)
    assert strict_api.requests() == []


ELSEWHERE = "https://api.example.com"
NEXT_STEPS = [
    ("https://nowhere.invalid:8443", None, "nowhere.invalid:8443", "network and DNS"),
    ("http://127.0.0.1:9", None, "127.0.0.1:9", "that the service runs there"),
    (ELSEWHERE, "nowhere.invalid:3128", "the proxy nowhere.invalid:3128", "network and DNS"),
    (
        ELSEWHERE,
        "127.0.0.1:9",
        "the proxy 127.0.0.1:9",
        "host and port are from `region`, `api_url` or HTTPS_PROXY.",
    ),
    (
        ELSEWHERE,
        "{proxy}",
        "the proxy 127.0.0.1:",
        "its user and password: http://USER:PASSWORD@HOST:PORT",
    ),
]


@pytest.mark.parametrize("command", ["status", "check"])
@pytest.mark.parametrize(("url", "proxy", "named", "step"), NEXT_STEPS)
def test_a_failed_connection_is_reported_with_the_next_step(
    tmp_path: Path, command: str, *, url: str, proxy: str | None, named: str, step: str
) -> None:
    """Without a retry, because a person is waiting."""
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with server([refusal]) as (proxy_url, seen):
        variables = {"NO_PROXY": "", "HTTPS_PROXY": ""}
        if proxy:
            host = proxy.format(proxy=proxy_url.partition("//")[2])
            variables["HTTPS_PROXY"] = f"http://user:hunter2@{host}"
        config = {"api_url": url, "token": TOKEN}
        outcome = tool(tmp_path, command, environment=variables, **config)
    assert outcome.status == 69
    assert "The Import API did not respond: " in outcome.log
    assert named in outcome.log
    assert step in outcome.log
    assert "hunter2" not in outcome.log
    assert len(seen) == (proxy == "{proxy}")


@pytest.mark.parametrize("option", ["--json", ""])
def test_status_and_check_print_json_documents(
    strict_api: ImportApi, tmp_path: Path, option: str
) -> None:
    given = [each for each in (option, "--api-url", strict_api.url) if each]
    config: dict[str, Any] = {"token": "good", "region": "eu"}
    status = tool(tmp_path, "status", *given, **config)
    check = tool(tmp_path, "check", *given, **config)
    assert (status.status, check.status) == (0, 0)
    if not option:
        assert status.states[0].startswith(f"The Import API at {strict_api.url} is up: {{")
        return
    assert document(check) == {"url": strict_api.url, "token_accepted": True}
    answer = document(status)
    assert (answer["url"], answer["healthy"]) == (strict_api.url, True)
    assert answer["answer"]["name"] == "pipeline.gate"


@pytest.mark.parametrize(
    ("command", "status"), [("status", 69), ("check", 69), ("check -c none.json", 78)]
)
def test_an_error_is_a_document_too(tmp_path: Path, command: str, status: int) -> None:
    """And a line on stderr."""
    config: dict[str, Any] = {"token": TOKEN, "api_url": "http://127.0.0.1:9"}
    outcome = tool(tmp_path, *command.split(), "--json", **config)
    answer = document(outcome)
    assert (outcome.status, answer["exit_status"]) == (status, status)
    assert outcome.log == answer["error"] + "\n"


def test_the_option_region_replaces_every_url(tmp_path: Path) -> None:
    """A configured URL could be that of another region."""
    urls = dict.fromkeys(("api_url", "small_batch_url", "big_batch_url"), "http://127.0.0.1:9/")
    (tmp_path / "config.json").write_text(json.dumps(urls))
    where = ConnectionOptions((str(tmp_path / "config.json"),), "eu", None)
    endpoint = where.settings(needs_token=False).endpoint("")
    assert {endpoint.url, endpoint.big_url} == {f"{REGION_URLS['eu']}/v2/import/batch"}


def test_replay_and_tables_print_json_documents(api: ImportApi, tmp_path: Path) -> None:
    message = '{"action":"upsert","sequence":1,"data":{"id":1,"cost":1.10}}'
    schema = '{"properties":{"id":{"type":"integer"},"cost":{"type":"number","multipleOf":0.01}}}'
    (tmp_path / "bodies.jsonl").write_text(
        f'{{"table_name":"t","key_names":["id"],"schema":{schema},"messages":[{message}]}}\n'
    )
    path = str(tmp_path / "bodies.jsonl")
    outcome = tool(tmp_path, "replay", path, "--json", api_url=api.url, token=TOKEN)
    assert document(outcome) == {"messages": 1, "requests": 1, "repaired": {}, "replaced": 0}
    with ImportApi(tmp_path / "w.duckdb") as stored:
        assert tool(tmp_path, "replay", path, api_url=stored.url, token=TOKEN).status == 0
    outcome = tool(tmp_path, "tables", "--json", "--database", str(tmp_path / "w.duckdb"))
    (table,) = document(outcome)
    assert (table["schema"], table["table"], table["rows"]) == ("import_api", "t", 1)
    assert table["columns"]["cost"] == "DECIMAL(38,2)"
    assert table["first_rows"][0]["_sdc_sequence"] == 1
    assert '"cost": 1.10' in "".join(outcome.states)


def test_the_command_runs_as_a_program(api: ImportApi) -> None:
    """In a process: its exit statuses, also if nothing reads its stdout."""
    command = [*TOOL, "status", "--api-url", api.url]
    assert subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0
    nobody_reads, stdout = os.pipe()
    os.close(nobody_reads)
    done = subprocess.run(
        command, check=False, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(stdout)
    assert (done.returncode, done.stderr.count("\n")) == (74, 1)
    assert (
        "Stdout cannot be written to: Broken pipe. The program that reads it has ended"
        in done.stderr
    )
    done = subprocess.run([*TOOL, "none"], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "No such command" in done.stderr) == (78, True)


def test_region_local_is_refused(tmp_path: Path) -> None:
    outcome = tool(tmp_path, "check", region="local")
    assert (outcome.status, "stitch-import serve" in outcome.log) == (78, True)


PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"


@pytest.mark.parametrize(
    ("body", "status", "words", "check"),
    [
        ("{}", 69, "is not available: 200", 76),
        ("<html>\x1b[31mhello", 76, "is a web page, so it is not from the Import API", 76),
        ("[]", 76, "is a JSON list, so it is not from the Import API", 76),
        ('{"status":"ERROR"}', 69, "is not available: 200", 69),
        ('{"status":"OK"', 69, "is not available: 200", 69),
        ("", 69, "is not available: 200", 76),
    ],
)
def test_other_responses_are_not_from_the_import_api(
    tmp_path: Path, body: str, status: int, words: str, check: int
) -> None:
    page = PAGE % (len(body), body.encode())
    with server([page]) as (url, _):
        outcome = tool(tmp_path, "status", api_url=url)
    assert (outcome.status, words in outcome.log) == (status, True)
    assert "\x1b" not in outcome.log
    with server([page]) as (url, _):
        outcome = tool(tmp_path, "check", api_url=url, token=TOKEN, max_retry_seconds=0)
    assert outcome.status == check
    assert "so it is not from the Import API" not in words or words in outcome.log


def test_status_shows_no_control_characters(tmp_path: Path) -> None:
    body = b'{"status":"OK","name":"\x7f\xc2\x9b31m"}'
    with server([PAGE % (len(body), body)]) as (url, _):
        outcome = tool(tmp_path, "status", api_url=url)
    assert (outcome.status, outcome.states[0].isprintable()) == (0, True)


PRINTING = ["", "--help", "--version", "check --help", "token list --help", "serve --help"]


@pytest.mark.parametrize("command", PRINTING)
def test_a_closed_pipe_is_reported(tmp_path: Path, command: str) -> None:
    ended = run_into_closed_pipe(*TOOL, *command.split(), folder=tmp_path)
    assert ended == (74, CLOSED_PIPE)


@pytest.mark.parametrize("command", [*PRINTING, "status --json --api-url http://127.0.0.1:9"])
def test_a_full_stdout_is_reported(command: str) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [*TOOL, *command.split()],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (done.returncode, "Internal" in done.stderr) == (74, False)
    assert "Traceback" not in done.stderr
    assert "Stdout cannot be written to: No space left on device. Free disk space" in done.stderr


@pytest.mark.parametrize("command", PRINTING)
def test_a_stdout_beyond_the_limit_of_files_is_reported(tmp_path: Path, command: str) -> None:
    shell = f"ulimit -f 0; {' '.join(TOOL)} {command} > {tmp_path}/out"
    done = subprocess.run(["bash", "-c", shell], check=False, capture_output=True, timeout=60)
    words = b"Stdout cannot be written to: File too large. Raise the limit"
    assert (done.returncode, words in done.stderr) == (74, True)


@pytest.mark.parametrize("command", ["report", "push --table t --key id"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, command: str) -> None:
    path = "/proc/self/mem"  # it can be opened, but not be read at its beginning
    config: dict[str, Any] = {} if command == "report" else {"token": TOKEN, "client_id": 7723}
    output = ["--output", str(tmp_path / "page.html")] if command == "report" else []
    outcome = tool(tmp_path, *command.split(), path, *output, **config)
    assert (outcome.status, f"{path} cannot be read: Input/output error." in outcome.log) == (
        65,
        True,
    )


@pytest.mark.parametrize("command", ["push --table t --key id -", "replay -", "report -"])
def test_a_missing_stdin_is_reported(command: str) -> None:
    shell = f"exec {' '.join(TOOL)} {command} <&-"
    done = subprocess.run(["sh", "-c", shell], check=False, capture_output=True, timeout=60)
    assert (done.returncode, b"there is no stdin" in done.stderr) == (78, True)


def test_report_needs_no_stdin_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("{}")
    shell = f"exec {' '.join(TOOL)} report {path} <&-"
    done = subprocess.run(["sh", "-c", shell], check=False, capture_output=True, timeout=60)
    assert (done.returncode, b"summary.json" in done.stderr) == (65, True)


@pytest.mark.parametrize("command", ["", "token", "source"])
def test_without_arguments_the_help_is_shown(tmp_path: Path, command: str) -> None:
    outcome = tool(tmp_path, *command.split())
    assert (outcome.status, "Commands:" in outcome.states) == (0, True)


def test_unknown_settings_are_reported_in_order(api: ImportApi, tmp_path: Path) -> None:
    outcome = tool(tmp_path, "status", api_url=api.url, batch_size_row=1, something=2)
    assert outcome.status == 0
    assert outcome.log == (
        "Unknown setting `batch_size_row` is ignored. Is `batch_size_rows` meant?\n"
        "Unknown setting `something` is ignored.\n"
    )
