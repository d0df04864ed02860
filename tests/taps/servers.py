"""Starts database servers for tests: on loopback, in temporary folders, never as root."""

from __future__ import annotations

import csv
import io
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.programs import require, skip_without

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Row = tuple[str | None, ...]
PASSWORD = "a-password-of-the-tests"  # noqa: S105 - of temporary servers
NULL = "\x01null\x01"  # the client's text for a null, which no value of the tests has
_DEBIAN = Path("/usr/lib/postgresql")
_POSTGRES_COLUMNS = """
SELECT a.attname, CASE
  WHEN t.typtype = 'e' THEN 'enum'
  WHEN t.typtype = 'c' THEN 'composite'
  WHEN t.typtype = 'd' THEN 'domain'
  WHEN e.typtype = 'e' THEN 'enum[]'
  WHEN t.typname = 'bit' AND a.atttypmod > 1 THEN 'bits'
  ELSE format_type(t.oid, NULL)
END
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE a.attrelid = '"{schema}"."{table}"'::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
csv.field_size_limit(10_000_000)


class Account:
    """The account that runs a server: that of Debian's package, if the tests run as root."""

    def __init__(self, name: str) -> None:
        self.name = name if os.geteuid() == 0 else None

    @contextmanager
    def folder(self, prefix: str) -> Iterator[Path]:
        """Create a temporary folder that belongs to this account."""
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
            if self.name is not None:
                entry = pwd.getpwnam(self.name)
                os.chown(name, entry.pw_uid, entry.pw_gid)
            yield Path(name)

    def run(self, *command: str | Path, log: Path) -> None:
        """Run a program as this account; it must succeed."""
        with self._start(command, log) as process:
            process.wait()
        assert process.returncode == 0, log.read_text()

    @contextmanager
    def serving(
        self, *command: str | Path, ready: Sequence[str | Path], stop: str, log: Path
    ) -> Iterator[None]:
        """Run a server as this account until the `with` ends; `ready` is run until it succeeds.

        It cannot outlive this process: a shell waits for the pipe to close, and sends `stop`.
        """
        shell = ("sh", "-c", f'"$@" & read -r line; kill -{stop} $!; wait', "serving", *command)
        with self._start(shell, log) as process:
            assert process.stdin
            while subprocess.run(ready, capture_output=True, check=False).returncode:
                assert process.poll() is None, log.read_text()
            yield
            process.stdin.close()

    def _start(self, command: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=os.environ | {"TMPDIR": str(log.parent)},  # MariaDB's temporary names collide
                user=self.name,
                group=self.name,
                extra_groups=[] if self.name else None,
                start_new_session=True,
            )


def free_port() -> int:
    """Return an unused port on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def query(command: list[str | Path], sql: str, **environment: str) -> str:
    """Run SQL with a database's own client, which must succeed; return its output."""
    done = subprocess.run(
        command,
        input=sql.encode(),
        capture_output=True,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


class Postgres:
    """A running PostgreSQL with logical decoding."""

    user = "postgres"
    database = "postgres"

    def __init__(self, programs: Path, port: int) -> None:
        self.port = port
        address = f"postgresql://{self.user}@127.0.0.1:{port}/{self.database}"
        self._psql: list[str | Path] = [programs / "psql", "--no-psqlrc", "--quiet", address]

    def run(self, sql: str) -> None:
        """Run statements, each of which must succeed."""
        query([*self._psql, "--set=ON_ERROR_STOP=1"], sql, **self._environment())

    def rows(self, sql: str) -> list[Row]:
        """Return the rows of a query, each value as the server prints it; None for null."""
        options = ("--csv", "--tuples-only", f"--pset=null={NULL}", "--set=ON_ERROR_STOP=1")
        printed = query([*self._psql, *options], sql, **self._environment())
        lines = csv.reader(io.StringIO(printed, newline=""))
        return [tuple(None if value == NULL else value for value in line) for line in lines]

    def columns(self, schema: str, table: str) -> dict[str, str]:
        """Return a table's columns with their types."""
        rows = self.rows(_POSTGRES_COLUMNS.format(schema=schema, table=table))
        return {str(name): str(kind) for name, kind in rows}

    def values(self, schema: str, table: str, terms: Mapping[str, str]) -> list[Row]:
        """Return a table's rows; `terms` has each column's expression, with `{}` for its name."""
        selected = [
            term.format('"' + name.replace('"', '""') + '"') for name, term in terms.items()
        ]
        return self.rows(f'SELECT {", ".join(selected)} FROM "{schema}"."{table}"')  # noqa: S608

    def copy(self, schema: str, tables: Iterable[str]) -> None:
        """Create a schema with empty copies of tables of `plain`."""
        like = 'CREATE TABLE "{0}"."{1}" (LIKE plain."{1}" INCLUDING INDEXES INCLUDING DEFAULTS);'
        statements = [f'CREATE SCHEMA "{schema}";', *(like.format(schema, name) for name in tables)]
        self.run("\n".join(statements))

    def fill(self, schema: str, tables: Iterable[str]) -> None:
        """Copy the rows of tables of `plain`."""
        filling = 'INSERT INTO "{0}"."{1}" TABLE plain."{1}";'
        self.run("\n".join(filling.format(schema, name) for name in tables))

    @staticmethod
    def _environment() -> dict[str, str]:
        return {"PGPASSWORD": PASSWORD, "PGTZ": "UTC", "PGCLIENTENCODING": "UTF8"}


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run the newest installed PostgreSQL; skip the tests if there is none."""
    programs = _postgres_programs()
    if programs is None:
        skip_without("postgres")
    account = Account("postgres")
    with account.folder("postgres-") as folder:
        data, log = folder / "data", folder / "log"
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        account.run(
            *(programs / "initdb", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--username=postgres", "--auth=scram-sha-256", f"--pwfile={password}", data),
            log=log,
        )
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "wal_level": "logical",
            "fsync": "off",
            "timezone": "UTC",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        with account.serving(
            programs / "postgres",
            *(f"-D{data}", *options),
            ready=(programs / "pg_isready", "--host=127.0.0.1", f"--port={port}"),
            stop="QUIT",
            log=log,
        ):
            yield Postgres(programs, port)


def _postgres_programs() -> Path | None:
    """Return the folder of the server's programs, which on Debian is not on PATH."""
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    folders = [path.parent for path in _DEBIAN.glob("*/bin/postgres")]
    return max(folders, key=lambda path: int(path.parent.name), default=None)


class MariaDb:
    """A running MariaDB that writes its binlog by row."""

    user = "root"

    def __init__(self, port: int) -> None:
        self.port = port
        where = ("--host=127.0.0.1", f"--port={port}", f"--user={self.user}")
        self._client: list[str | Path] = ["mariadb", "--no-defaults", *where, "--batch"]
        self._client += ["--default-character-set=utf8mb4", "--skip-column-names"]

    def run(self, sql: str) -> None:
        """Run statements, each of which must succeed."""
        query(self._client, sql, MYSQL_PWD=PASSWORD)

    def columns(self, schema: str, table: str) -> dict[str, str]:
        """Return a table's columns with their types."""
        where = f"table_schema = '{schema}' AND table_name = '{table}'"
        names = (
            "SELECT hex(column_name), hex(if(column_type = 'tinyint(1)', column_type, data_type))"
        )
        rows = self.rows(f"{names} FROM information_schema.columns WHERE {where}")
        return {str(name): str(kind) for name, kind in rows}

    def values(self, schema: str, table: str, terms: Mapping[str, str]) -> list[Row]:
        """Return a table's rows; `terms` has each column's expression, with `{}` for its name."""
        selected = [
            f"hex(CAST({term.format(f'`{name}`')} AS char CHARACTER SET utf8mb4))"
            for name, term in terms.items()
        ]
        return self.rows(f"SELECT {', '.join(selected)} FROM `{schema}`.`{table}`")  # noqa: S608

    def copy(self, schema: str, tables: Iterable[str]) -> None:
        """Create a database with empty copies of tables of `plain`."""
        like = "CREATE TABLE `{0}`.`{1}` LIKE plain.`{1}`;"
        made = f"CREATE DATABASE `{schema}` CHARACTER SET utf8mb4;"
        self.run("\n".join([made, *(like.format(schema, name) for name in tables)]))

    def fill(self, schema: str, tables: Iterable[str]) -> None:
        """Copy the rows of tables of `plain`."""
        filling = "INSERT INTO `{0}`.`{1}` SELECT * FROM plain.`{1}`;"
        self.run("\n".join(filling.format(schema, name) for name in tables))

    def rows(self, sql: str) -> list[Row]:
        """Return the rows of a query of hexadecimal texts, decoded; None for null."""
        lines = query(self._client, sql, MYSQL_PWD=PASSWORD).splitlines()
        return [tuple(map(_decoded, line.split("\t"))) for line in lines]


def _decoded(text: str) -> str | None:
    return None if text == "NULL" else bytes.fromhex(text).decode("utf-8", "surrogateescape")


@contextmanager
def mariadb() -> Iterator[MariaDb]:
    """Run MariaDB; skip the tests if it is not installed."""
    server = shutil.which("mariadbd", path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))
    if server is None:
        skip_without("mariadbd")
    for program in ("mariadb", "mariadb-admin", "mariadb-install-db"):
        require(program)
    account = Account("mysql")
    with account.folder("mariadb-") as folder:
        data, log, port = folder / "data", folder / "log", free_port()
        account.run(
            *("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db"),
            "--auth-root-authentication-method=normal",
            log=log,
        )
        here = f"--socket={folder}/socket"
        with account.serving(
            *(server, "--no-defaults", f"--datadir={data}", here, f"--port={port}"),
            *("--bind-address=127.0.0.1", "--server-id=1", "--default-time-zone=+00:00"),
            *("--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL"),
            *("--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0"),
            ready=("mariadb-admin", "--no-defaults", here, "--user=root", "ping"),
            stop="KILL",
            log=log,
        ):
            password = f"SET PASSWORD = PASSWORD('{PASSWORD}')"
            query(["mariadb", "--no-defaults", here, "--user=root"], password)
            yield MariaDb(port)
