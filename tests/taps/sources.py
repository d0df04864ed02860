"""The tested taps: their settings, and how each converts the types of its database."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.programs import skip_or_fail
from tests.taps.pipes import Tap
from tests.taps.reading import (
    BOOLEAN,
    DOUBLE,
    MOMENT,
    NUMBER,
    TEXT,
    TREE,
    Kind,
    differences,
    expected,
    loaded,
    loaded_columns,
    tables,
    text_of,
    tree,
    tree_of_doubles,
)
from tests.taps.servers import PASSWORD, MariaDb, Postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.taps.reading import Warehouse

Kinds = dict[str, "Kind | None"]
"""Kinds by the source's type; None for types that the tap leaves out, `[]` for arrays."""

Schemas = dict[tuple[str, str], Any]
"""Schemas by table and column, which replace the tap's own."""

HERE = Path(__file__).parent
SERVERS = {"meltano": "postgres", "pipelinewise": "postgres", "mysql": "mariadb"}
"""The server that each tap reads; its tables are in a script of that name."""

LEFT_OUT = {"meltano": (), "pipelinewise": ("numeric_hundreds",), "mysql": ("shapes",)}
"""Tables that a tap cannot read, or whose rows are invalid by its own schema."""

NOT_LOGGED = {
    "meltano": ("1st.table, täble", "Upper Case"),
    "pipelinewise": (
        *("1st.table, täble", "numerics_extreme", "numeric_beyond", "times", "big_arrays"),
    ),
    "mysql": ("zerofilled", "generated_columns"),
}
"""Tables that a tap cannot read correctly from the log."""


def script(server: str) -> str:
    """Return the SQL script that fills a server."""
    return (HERE / f"{server}.sql").read_text()


def tables_of(tap: str) -> list[str]:
    """Return the tables and views that a tap can read."""
    made = tables(script(SERVERS[tap]), "plain")
    return [name for name in made if name not in LEFT_OUT[tap]]


def logged_of(tap: str) -> list[str]:
    """Return the tables that a tap can read from the log."""
    return [each for each in tables_of(tap) if "view" not in each and each not in NOT_LOGGED[tap]]


@dataclass(frozen=True)
class Source:
    """A tap with its server, and how to compare what it reads."""

    name: str
    tap: Tap
    server: Postgres | MariaDb
    filter: str
    """The setting that limits the tap to one schema."""
    kinds: Kinds
    log_kinds: Kinds
    log_schemas: Schemas = field(default_factory=dict)
    log_settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the target for reading the log."""
    versions: bool = True
    """Whether it sends versions, so that rows deleted at the source leave a full table."""
    whole_only_next_time: tuple[str, ...] = ()
    """Methods by which a table is complete only in the run after the resumed one."""
    slot: str | None = None
    """The replication slot that it needs."""

    @property
    def altered(self) -> list[str]:
        """The types whose values some method changes."""
        exact = _POSTGRES if isinstance(self.server, Postgres) else _MARIADB_EXACT
        read = [*self.kinds.items(), *self.log_kinds.items()]
        return sorted({name for name, kind in read if exact.get(name, TEXT) != kind})

    def over(self, schema: str, *, log: bool = False) -> Tap:
        """Return the tap configured for one schema."""
        value: Any = [schema] if self.filter == "filter_schemas" and not self.versions else schema
        tap = replace(self.tap, config={**self.tap.config, self.filter: value})
        return replace(tap, schemas={**self.tap.schemas, **self.log_schemas}) if log else tap

    def make_slot(self) -> None:
        """Create the replication slot, if the tap needs one and it does not exist."""
        there = "SELECT 1 FROM pg_replication_slots WHERE slot_name = "
        if self.slot is None or self.server.rows(f"{there}'{self.slot}'"):
            return
        ((folder,),) = self.server.rows("SELECT setting FROM pg_config WHERE name = 'PKGLIBDIR'")
        if not Path(str(folder), "wal2json.so").exists():
            skip_or_fail("PostgreSQL has no wal2json: install it, such as postgresql-15-wal2json")
        make = f"SELECT pg_create_logical_replication_slot('{self.slot}', 'wal2json');"
        self.server.run(make)

    def differences(
        self, api: Warehouse, schema: str, table: str, where: str = "true", *, log: bool = False
    ) -> str:
        """Compare a table of the warehouse with the source by value; empty if they agree."""
        types = self.server.columns(schema, table)
        read = self.log_kinds if log else self.kinds
        found = {name: _kind(each, read) for name, each in types.items()}
        kinds = {name: each for name, each in found.items() if each is not None}
        terms = {name: each.term for name, each in kinds.items()}
        right = expected(self.server.values(schema, table, terms), list(kinds.values()))
        stream = f"{schema}-{table}"
        left_out = {name for name, each in found.items() if each is None}
        assert not left_out & set(loaded_columns(api, stream))
        return differences(right, loaded(api, stream, kinds, where))

    def all_differences(
        self, api: Warehouse, schema: str, names: Iterable[str], *, log: bool = False
    ) -> dict[str, str]:
        """Return the differences by table; rows that are marked as deleted are ignored."""
        wrong = {}
        for name in names:
            marked = "_sdc_deleted_at" in loaded_columns(api, f"{schema}-{name}")
            where = "_sdc_deleted_at IS NULL" if marked else "true"
            if said := self.differences(api, schema, name, where, log=log):
                wrong[name] = said
        return wrong


def _kind(sql_type: str, kinds: Kinds) -> Kind | None:
    if sql_type in kinds:
        return kinds[sql_type]
    return kinds["[]"] if sql_type.endswith("[]") else TEXT


def _since_1970(interval: str) -> str:
    """Return 1970 plus an interval, with months of 30 and years of 365 days."""
    lengths = {"year": 365, "mon": 30, "day": 1}
    units = re.findall(r"(-?\d+) (year|mon|day)", interval)
    days = sum(int(number) * lengths[unit] for number, unit in units)
    seconds = 0.0
    if clock := re.search(r"(\d+):(\d+):([\d.]+)$", interval):
        seconds = int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
    since = dt.timedelta(days=days, seconds=seconds)
    at = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc) + since
    return at.isoformat(timespec="microseconds" if at.microsecond else "seconds")


def _time_in_utc(text: str) -> str:
    clock, sign, offset = re.split(r"([+-])", text)
    hours, _, minutes = offset.partition(":")
    shift = dt.timedelta(hours=int(hours), minutes=int(minutes or 0))
    day = dt.datetime.fromisoformat(f"2000-01-02T{clock}")
    return (day - shift if sign == "+" else day + shift).time().isoformat()


def _time_of_python(text: str) -> str:
    """Return a time with six digits after the point, or none."""
    return text.ljust(len("00:00:00.000000"), "0") if "." in text else text


def _timedelta_of_python(text: str) -> str:
    return text.removesuffix(".000000").removeprefix("0")


def _with_minutes(text: str) -> str:
    return text if re.search(r"[+-]\d\d:\d\d$", text) else f"{text}:00"


def _range_of_python(text: str) -> str:
    """Return a range of moments without quotes, with offsets in hours and minutes."""
    return re.sub(r'"([^"]*)"', lambda each: _with_minutes(each[1]), text)


_ARRAY = Kind(tree, tree, term="to_json({})")
_POSTGRES: Kinds = {
    **dict.fromkeys(("smallint", "integer", "bigint", "numeric"), NUMBER),
    **dict.fromkeys(("real", "double precision", "domain", "oid"), NUMBER),
    **dict.fromkeys(("timestamp without time zone", "timestamp with time zone", "date"), MOMENT),
    "boolean": BOOLEAN,
    **dict.fromkeys(("json", "jsonb"), TREE),
    "hstore": Kind(tree, tree, term="public.hstore_to_json({})"),
    "[]": _ARRAY,
}
_MELTANO = _POSTGRES | {
    "date": TEXT,
    "time without time zone": text_of(_time_of_python),
    "time with time zone": text_of(_with_minutes),
    "interval": text_of(_since_1970),
    "bytea": text_of(lambda text: text.removeprefix("\\x")),
    "tstzrange": text_of(_range_of_python),
}
_AS_POSTGRES_WRITES = (
    *("time without time zone", "time with time zone", "interval", "tstzrange", "hstore"),
    *("domain", "[]"),
)
_MELTANO_LOG = _MELTANO | {
    **dict.fromkeys(_AS_POSTGRES_WRITES, TEXT),
    "text[]": _ARRAY,
    "numeric": DOUBLE,
}
_UNSUPPORTED = (
    *("bits", "bit varying", "bytea", "interval", "macaddr8", "composite", "domain", "oid"),
    *("xml", "tsvector", "pg_lsn", '"char"', "name", "point", "box", "circle", "lseg", "polygon"),
    *("int4range", "numrange", "tstzrange", "daterange", "int4multirange"),
)
_PIPELINEWISE = _POSTGRES | {
    **dict.fromkeys(_UNSUPPORTED, None),
    "bit": BOOLEAN,
    "time with time zone": text_of(_time_in_utc),
    "time without time zone": text_of(_time_of_python),
    **dict.fromkeys(("json", "jsonb"), Kind(tree_of_doubles, tree)),
    "[]": replace(_ARRAY, null="[]"),
}
_PIPELINEWISE_LOG = _PIPELINEWISE | {"numeric": DOUBLE}
_MARIADB_EXACT: Kinds = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint"), NUMBER),
    **dict.fromkeys(("decimal", "float", "double"), NUMBER),
    "tinyint(1)": BOOLEAN,
    **dict.fromkeys(("datetime", "timestamp", "date"), MOMENT),
}
_MARIADB = _MARIADB_EXACT | {
    "bit": Kind(lambda text: "false" if text == "0" else "true", str, term="{}+0"),
    "time": text_of(_timedelta_of_python),
    **dict.fromkeys(("binary", "varbinary"), Kind(str, str, term="hex({})")),
    **dict.fromkeys(("blob", "longblob", "set", "year", "uuid", "inet6"), None),
}
_MARIADB_LOG = _MARIADB | {
    **dict.fromkeys(("binary", "varbinary"), Kind(str, str, term="lower(hex({}))")),
    "enum": text_of(lambda text: text.replace("'", "")),
}

_LIST = {"type": ["null", "array"]}
_LIST_OR_TEXT = {"type": ["null", "array", "string"]}
_ARRAYS = (
    *("ints", "texts", "grid", "nums", "bools", "moments", "uuids", "doubles", "moods"),
    "varchars",
)
_ARRAY_COLUMNS = [*(("arrays", column) for column in _ARRAYS), ("big_arrays", "bigs")]
_CORRECTED: Schemas = {
    **dict.fromkeys(_ARRAY_COLUMNS, _LIST),
    ("arrays", "moments"): {**_LIST, "items": {"type": ["null", "string"], "format": "date-time"}},
    ("odds", "o"): {"type": ["null", "integer"]},
    ("own_types", "d"): {"type": ["null", "integer"]},
    ("own_types", "p"): {"type": ["null", "number"]},
}
_LOG_CORRECTED: Schemas = {
    **dict.fromkeys(_ARRAY_COLUMNS, _LIST_OR_TEXT),
    ("odds", "h"): {"type": ["null", "object", "string"]},
    ("own_types", "d"): {"type": ["null", "integer", "string"]},
    ("own_types", "p"): {"type": ["null", "number", "string"]},
}


def meltano(server: Postgres) -> Source:
    """`meltanolabs-tap-postgres`, with corrected schemas for some types."""
    config = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": server.user,
        "password": PASSWORD,
        "database": server.database,
        "replication_idle_exit_seconds": 1,
        "log_based_single_connection": True,
        "auto_bootstrap_log_based": True,
    }
    return Source(
        "meltano",
        Tap("tap-postgres", "meltanolabs-tap-postgres", "tap-postgres", config, _CORRECTED),
        server,
        "filter_schemas",
        _MELTANO,
        _MELTANO_LOG,
        log_schemas=_LOG_CORRECTED,
        versions=False,
        slot="tappostgres",
    )


def pipelinewise(server: Postgres) -> Source:
    """`pipelinewise-tap-postgres`."""
    config = {
        "host": "127.0.0.1",
        "port": str(server.port),
        "user": server.user,
        "password": PASSWORD,
        "dbname": server.database,
        "logical_poll_total_seconds": 2,
    }
    return Source(
        "pipelinewise",
        Tap("tap-postgres-pipelinewise", "pipelinewise-tap-postgres", "tap-postgres", config),
        server,
        "filter_schemas",
        _PIPELINEWISE,
        _PIPELINEWISE_LOG,
        log_settings={"repairs": ["round_decimals"]},
        slot=f"pipelinewise_{server.database}",
    )


def mysql(server: MariaDb) -> Source:
    """`pipelinewise-tap-mysql`, configured to read all of Unicode."""
    config = {
        "host": "127.0.0.1",
        "port": str(server.port),
        "user": server.user,
        "password": PASSWORD,
        "engine": "mariadb",
        "session_sqls": ["SET @@session.time_zone='+0:00'", "SET NAMES utf8mb4"],
    }
    return Source(
        "mysql",
        Tap("tap-mysql", "pipelinewise-tap-mysql", "tap-mysql", config),
        server,
        "filter_dbs",
        _MARIADB,
        _MARIADB_LOG,
        whole_only_next_time=("FULL_TABLE",),
    )


MAKERS: dict[str, Callable[..., Source]] = {
    "meltano": meltano,
    "pipelinewise": pipelinewise,
    "mysql": mysql,
}
