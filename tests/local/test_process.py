"""The local Import API as a process: its output, the data it leaves, and how it ends."""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import requests
from click.testing import CliRunner

from target_stitch_import.local import (
    ImportApi,
    ImportApiProcess,
    StartError,
)
from target_stitch_import.local.command import serve
from target_stitch_import.local.options import OptionsError
from target_stitch_import.local.warehouse.profiles import profiles
from target_stitch_import.toolbox import main
from tests.local.calls import batch, call, customers, send, upsert
from tests.support.toolbox import TOOL

if TYPE_CHECKING:
    from pathlib import Path

SERVE = [*TOOL, "serve", "--port", "0"]


def wait_until_gone(pid: int) -> None:
    """Wait until a process that is not our child has ended; the test's time limit bounds it."""
    descriptor = os.pidfd_open(pid)
    select.select([descriptor], [], [])
    os.close(descriptor)


@pytest.mark.timeout(60)
def test_kill_loses_no_acknowledged_batch(tmp_path: Path) -> None:
    """Killed while four clients send, the file has every batch that was acknowledged."""
    database = tmp_path / "w.duckdb"
    acknowledged: set[int] = set()
    enough = threading.Event()
    with ImportApiProcess(database) as api:

        def sender(first: int) -> None:
            session = requests.Session()
            for at in range(first, 10_000, 4):
                body = batch("t", *[upsert({"n": at, "m": each}) for each in range(50)])
                try:
                    answer = session.post(
                        f"{api.url}/v2/import/batch",
                        json=body,
                        headers={"Authorization": "Bearer x"},
                        timeout=10,
                    )
                except requests.RequestException:
                    return
                if answer.status_code == 201:
                    acknowledged.add(at)
                if len(acknowledged) >= 40:
                    enough.set()

        senders = [threading.Thread(target=sender, args=(first,)) for first in range(4)]
        for each in senders:
            each.start()
        enough.wait()
        assert api.pid is not None
        os.kill(api.pid, signal.SIGKILL)
        for each in senders:
            each.join()
    with duckdb.connect(str(database), read_only=True) as found:
        counts = dict(found.sql("SELECT n, count(*) FROM import_api.t GROUP BY n").fetchall())
    assert acknowledged <= counts.keys()
    assert set(counts.values()) == {50}, "a batch is there as a whole or not at all"


def test_tables_continue_after_a_restart(tmp_path: Path) -> None:
    """Keys, columns, types, versions and staged rows are known to the next process."""
    database = tmp_path / "w.duckdb"
    with ImportApi(database) as api:
        send(
            api,
            customers(),
            batch("v", upsert({"id": 1}), keys=("id",), table_version=1),
            batch("v", upsert({"id": 2}), keys=("id",), table_version=2),
        )
    activate = {"action": "activate_version", "sequence": 9}
    with ImportApi(database) as api:
        send(
            api,
            customers(sequence=1, data={"age": 1}),
            customers(sequence=1565880018, data={"age": 16}),
            batch("v", activate, schema={"properties": {"id": {}}}, keys=("id",), table_version=2),
        )
        assert api.query("SELECT age FROM import_api.customers") == [(16,)]
        assert api.query("SELECT id FROM import_api.v") == [(2,)]


def test_files_are_readable_only_by_their_owner(tmp_path: Path) -> None:
    database = tmp_path / "w.duckdb"
    with ImportApi(database) as api:
        send(api, customers())
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}
    assert "w.duckdb" in modes


@pytest.mark.timeout(60)
def test_the_child_ends_when_its_parent_is_killed() -> None:
    script = (
        "from target_stitch_import.local import ImportApiProcess\n"
        "with ImportApiProcess() as api:\n"
        "    print(api.pid, flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
        wait_until_gone(pid)


@pytest.mark.timeout(60)
def test_serve_ends_when_stdin_does() -> None:
    """So a test runner in another language leaves no process behind."""
    with subprocess.Popen(
        [*SERVE, "--stop-with-stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline().startswith("listening on http://127.0.0.1:")
        child.stdin.close()
        assert child.wait() == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_serve_prints_its_url_and_ends_on_a_signal(number: signal.Signals) -> None:
    """One line on stdout, nothing on stderr, exit status 0."""
    with subprocess.Popen(
        SERVE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        line = child.stdout.readline()
        url = line.removeprefix("listening on ").strip()
        assert requests.get(f"{url}/v2/import/status", timeout=10).json()["status"] == "OK"
        child.send_signal(number)
        assert (child.stdout.read(), child.stderr.read(), child.wait()) == ("", "", 0)


@pytest.mark.timeout(60)
def test_serve_reports_what_is_wrong(tmp_path: Path) -> None:
    """A taken port, an unusable database or accounts file: one line, and its exit status."""
    bad = tmp_path / "bad.json"
    bad.write_text('{"clients": 5}')
    latin = tmp_path / "latin.json"
    latin.write_bytes('{"clients": [{"client_id": 1, "connect_tokens": ["é"]}]}'.encode("latin-1"))
    text = tmp_path / "text.duckdb"
    text.write_text("no database, just words " * 1000)
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as made:
        made.execute("CREATE SCHEMA _stitch_import; CREATE TABLE _stitch_import.tables (old INT)")
    with ImportApi() as api:
        port = api.url.rpartition(":")[2]
        for more, status, words in (
            (["--port", port], 69, f"port {port} of 127.0.0.1 is in use, perhaps by another `"),
            (["--port", port], 69, "or give another --port (0 picks a free one)"),
            (["--host", "192.0.2.1"], 69, "cannot listen on host 192.0.2.1: Cannot assign"),
            (["--host", "nowhere.invalid"], 69, "cannot listen on host nowhere.invalid: N"),
            (["--database", str(text)], 78, "something other than a DuckDB database"),
            (["--database", str(other)], 69, "made by another version"),
            (["--accounts", str(bad)], 78, "accounts file: Expected `array`, got `int`"),
            (["--accounts", str(latin)], 78, "accounts file: 'utf-8' codec can't decode"),
        ):
            done = subprocess.run(
                [*SERVE, *more], capture_output=True, text=True, timeout=30, check=False
            )
            assert (done.returncode, done.stdout) == (status, "")
            assert words in done.stderr
            assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"destination": "moon"}, "destination: must be one of redshift, postgresql, "),
        ({"nested": "moon"}, "nested: moon is neither flatten nor json"),
    ],
)
def test_an_invalid_option_value_is_an_error(option: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionsError, match=words), ImportApi(**option):
        pass


def test_the_help_lists_every_destination() -> None:
    shown = CliRunner().invoke(serve, ["--help"]).output
    assert f"[{'|'.join(profiles())}]" in "".join(shown.split())


def test_a_child_process_has_the_options_of_serve(tmp_path: Path) -> None:
    """A child has the same options as `stitch-import serve`."""
    assert main.commands["serve"].params is serve.params
    arguments = ("--destination", "snowflake", "--keep-bytes", "0")
    with ImportApiProcess(tmp_path / "w.duckdb", arguments=arguments) as api:
        assert "Snowflake rules" in requests.get(f"{api.url}/", timeout=10).text
    with pytest.raises(StartError), ImportApiProcess(arguments=("--destination", "moon")):
        pass


def test_the_tables_keep_their_order_in_the_file(tmp_path: Path) -> None:
    """That of creation, though a table changes later: it numbers the streams of Stitch Connect."""
    database = tmp_path / "w.duckdb"
    with ImportApi(database) as api:
        for name, record in (("a", {"x": 1}), ("b", {"xs": [1]}), ("a", {"y": [1]}), ("c", {})):
            call(api, body=batch(name, upsert({"id": 1, **record})))
        created = [each["table"] for each in api.tables()]
    with ImportApi(database) as api:
        assert [each["table"] for each in api.tables()] == created


def test_a_child_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    text = tmp_path / "text.duckdb"
    text.write_text("no database, just words " * 1000)
    with (
        pytest.raises(StartError, match="status 78: see its message on stderr"),
        ImportApiProcess(text),
    ):
        pass


@pytest.mark.parametrize(
    ("start", "status"),
    [
        ("ImportApi().start()", 1),
        ("ImportApiProcess().start()", 1),
        ("from target_stitch_import.toolbox import main; main(['serve'])", 78),
    ],
)
def test_without_the_extra_it_says_what_to_install(start: str, status: int) -> None:
    """And starts nothing."""
    script = (
        "import sys\n"
        "sys.modules['duckdb'] = None  # as if it were not installed\n"
        "from target_stitch_import.local import ImportApi, ImportApiProcess\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script + start],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (status, "")
    assert "needs packages that are not installed: duckdb." in done.stderr
    assert "Install the extra `local` of target-stitch-import." in done.stderr


def test_importing_is_cheap() -> None:
    """The package imports no database and no server until one is started."""
    script = (
        "import sys, target_stitch_import.local, target_stitch_import.toolbox;"
        "print([name for name in ('duckdb', 'starlette', 'uvicorn', 'jinja2', 'msgspec')"
        " if name in sys.modules])"
    )
    assert printed(script) == "[]"


def printed(script: str) -> str:
    """Return the output of a script in a new Python process."""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_answering_imports_nothing() -> None:
    """All imports happen at the start, so the first request is not slower than others."""
    script = (
        "import sys, requests\n"
        "from target_stitch_import.local import ImportApi\n"
        "with ImportApi() as api:\n"
        "    before = set(sys.modules)\n"
        f"    body = {customers()!r}\n"
        "    headers = {'Authorization': 'Bearer x'}\n"
        "    url = f'{api.url}/v2/import/batch'\n"
        "    assert requests.post(url, json=body, headers=headers, timeout=20).status_code == 201\n"
        "    assert requests.get(f'{api.url}/_local/tables', timeout=20).ok\n"
        "    assert requests.get(api.url, timeout=20).ok\n"
        "    new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "    print(sorted(new - sys.stdlib_module_names))\n"
    )
    assert printed(script) == "[]"


def test_kept_requests_are_bounded() -> None:
    body = json.dumps(customers()).encode()
    with ImportApi(kept_bytes=3 * len(body)) as api:
        for _ in range(5):
            call(api, data=body)
        assert [each["number"] for each in api.requests()] == [3, 4, 5]
        answer = requests.get(f"{api.url}/_local/requests", timeout=10)
        assert answer.headers["X-Dropped-Requests"] == "2"
    with ImportApi(kept_bytes=0) as api:
        call(api, data=body)
        assert api.requests() == []


def tables_command(database: Path, *options: str, columns: int = 100) -> Any:
    """Run `stitch-import tables` in a terminal with this number of columns."""
    return subprocess.run(
        [*TOOL, "tables", *options, "--database", str(database)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "COLUMNS": str(columns)},
    )


def test_tables_command_shows_tables_without_changing_the_file(tmp_path: Path) -> None:
    """It shows a database's tables without changing the file."""
    database = tmp_path / "import_api.duckdb"
    with ImportApi(database) as api:
        send(api, customers(), batch("orders", upsert({"id": 1, "xs": [1]}), keys=("id",)))
    before = database.read_bytes()
    done = tables_command(database)
    assert done.returncode == 0
    for words in ("import_api.customers", "import_api.orders__xs", "1 row", "Finn", "BIGINT"):
        assert words in done.stdout
    assert database.read_bytes() == before


def test_tables_command_leaves_no_column_out(tmp_path: Path) -> None:
    """Each column of a wide table is a line, and its values are cut to fit."""
    database = tmp_path / "w.duckdb"
    wide = {f"column_{at}": at for at in range(200)} | {
        "long": "long " * 99,
        "odd": "日本\x1b[31m\n",
    }
    with ImportApi(database) as api:
        send(api, batch("wide", *[upsert(wide)] * 7, upsert({"long": None, "new": True})))
    lines = tables_command(database).stdout.splitlines()
    assert lines[0] == "import_api.wide: 8 rows"
    assert lines[1].split() == ["column_0", "BIGINT", *"00000"]
    assert [line.split()[0] for line in lines[1:201]] == [f"column_{at}" for at in range(200)]
    assert max(map(len, lines)) <= 100
    assert "\x1b" not in "".join(lines)
    bare = tables_command(database, "--rows", "0").stdout.splitlines()
    assert bare[200:204] == [
        "  column_199          BIGINT",
        "  long                VARCHAR",
        "  odd                 VARCHAR",
        "  new                 BOOLEAN",
    ]


@pytest.mark.parametrize("content", [None, b"", b"no database"])
def test_tables_command_without_a_database_is_an_error(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "none.duckdb"
    if content is not None:
        path.write_bytes(content)
    done = tables_command(path)
    assert done.returncode == 65
    assert "none.duckdb" in done.stderr


def test_tables_command_before_the_first_batch_shows_no_tables(tmp_path: Path) -> None:
    with ImportApi(tmp_path / "w.duckdb"):
        pass
    done = tables_command(tmp_path / "w.duckdb")
    assert (done.returncode, done.stdout) == (0, "There are no tables yet.\n")
