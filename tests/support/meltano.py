"""Runs Meltano in a project folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]


MELTANO = ROOT / ".tools" / "meltano" / "bin" / "meltano"


class Project:
    """A folder with a Meltano project."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.file = folder / "meltano.yml"
        self.file.write_text(text)

    def meltano(self, *arguments: str) -> str:
        """Run Meltano, which must succeed; return its output."""
        assert MELTANO.exists(), "Meltano is not installed: run `make test`."
        return self.run(str(MELTANO), *arguments)

    def run(self, *command: str, path: Sequence[Path] = ()) -> str:
        """Run a command, which must succeed, with `path` before PATH; return its output."""
        paths = os.pathsep.join([*map(str, path), os.environ["PATH"]])
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | {"NO_COLOR": "1", "PATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the local Import API's database."""
        path = self.folder / "stitch-import.duckdb"
        with duckdb.connect(str(path), read_only=True) as database:
            return database.execute(sql).fetchall()

    def counts(self) -> dict[str, int]:
        """Return the number of rows in each table of the sample."""
        tables = ("airlines", "airports", "flights", "planes", "weather")
        sql = "select count(*) from import_api.{}"
        return {name: self.query(sql.format(name))[0][0] for name in tables}
