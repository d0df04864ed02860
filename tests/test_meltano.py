"""Meltano runs the project's own meltano.yml, with real plugins in environments of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from target_stitch_import.config import SECRETS, json_schema
from target_stitch_import.target import TargetStitchImport

ROOT = Path(__file__).resolve().parent.parent
MELTANO = ROOT / ".tools" / "meltano" / "bin" / "meltano"
TAP = "tap-spreadsheets"
TARGET = "target-stitch-import"
MARCH = (
    "2013,3,1,4,2159,125,318,56,142,B6,11,N706JB,JFK,FLL,166,1069,21,59,2013-03-02T02:00:00Z",
    "2013,3,1,50,2358,52,526,438,48,B6,707,N625JB,JFK,SJU,182,1598,23,58,2013-03-02T04:00:00Z",
)


@pytest.fixture(scope="module")
def plugins() -> dict[str, Any]:
    """Meltano's view of both plugins, by name."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text())
    return {each["name"]: each for kind in project["plugins"].values() for each in kind}


def _kind(setting: dict[str, Any]) -> str:
    """Return what Meltano calls the type of a setting in JSON Schema."""
    if "enum" in setting:
        return "options"
    types = [setting["type"]] if isinstance(setting["type"], str) else setting["type"]
    alternatives = [each for each in types if each != "null"]
    if len(alternatives) > 1:
        return "string"  # the target takes the digits for the number
    return "decimal" if alternatives == ["number"] else str(alternatives[0])


def test_settings_are_those_of_the_target(plugins: dict[str, Any]) -> None:
    """Whoever adds a setting adds it to meltano.yml too."""
    shown = {
        setting["name"]: {
            "kind": setting["kind"],
            "description": setting["description"],
            "value": setting.get("value"),
            "sensitive": setting.get("sensitive", False),
            "options": {option["value"] for option in setting.get("options", ())},
        }
        for setting in plugins[TARGET]["settings"]
    }
    settings = {
        name: {
            "kind": _kind(setting),
            "description": setting["description"],
            "value": setting.get("default"),
            "sensitive": name in SECRETS,
            "options": set(setting.get("enum", ())),
        }
        for name, setting in json_schema()["properties"].items()
    }
    assert shown == settings
    assert list(shown) == list(settings)
    assert all(setting["label"] for setting in plugins[TARGET]["settings"])


def test_capabilities_are_those_of_the_target(plugins: dict[str, Any]) -> None:
    assert set(plugins[TARGET]["capabilities"]) == {
        each.value for each in TargetStitchImport.capabilities
    }


def test_tap_is_set_as_in_the_demo(plugins: dict[str, Any]) -> None:
    demo = (ROOT / "demo" / "tap-spreadsheets.json").read_text()
    assert plugins[TAP]["config"] == json.loads(demo.replace(".demo/data", "$NYCFLIGHTS"))
    locked = (ROOT / "demo" / "requirements.txt").read_text().splitlines()
    assert plugins[TAP]["pip_url"] in locked


class Project:
    """A copy of the project's Meltano files in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "demo" / "sample", folder / "demo" / "sample")
        self.file = folder / "meltano.yml"
        text = (ROOT / "meltano.yml").read_text()
        assert text.count("pip_url: -e .[local]") == 1
        self.file.write_text(text.replace("-e .[local]", f"-e {ROOT}[local]"))

    def meltano(self, *arguments: str) -> str:
        """Run Meltano, which must succeed; return what it logs."""
        assert MELTANO.exists(), "Meltano is not installed: run `make test`."
        done = subprocess.run(
            [MELTANO, *arguments],
            cwd=self.folder,
            env=os.environ | {"NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the database that the target loads."""
        path = self.folder / "stitch-import.duckdb"
        with duckdb.connect(str(path), read_only=True) as database:
            return database.execute(sql).fetchall()

    def counts(self) -> dict[str, int]:
        """Return how many rows each table has."""
        tables = ("airlines", "airports", "flights", "planes", "weather")
        sql = "select count(*) from import_api.{}"
        return {name: self.query(sql.format(name))[0][0] for name in tables}


@pytest.mark.timeout(300)  # a first install downloads what both plugins need
def test_second_run_goes_on_from_the_stored_state(tmp_path: Path) -> None:
    """As a newcomer would: install, run, run again when there is one file more."""
    project = Project(tmp_path)
    before = project.file.read_text()
    project.meltano("install")
    first_log = project.meltano("run", TAP, TARGET)
    assert "No state was found" in first_log
    first = {"airlines": 16, "airports": 20, "flights": 40, "planes": 20, "weather": 20}
    assert project.counts() == first
    ((last_sequence,),) = project.query("select max(_sdc_sequence) from import_api.flights")

    flights = tmp_path / "demo" / "sample" / "flights"
    january = (flights / "2013-01.csv").read_text().splitlines()
    march = flights / "2013-03.csv"
    march.write_text("\n".join([january[0], *MARCH]) + "\n")
    later = (flights / "2013-01.csv").stat().st_mtime + 60
    os.utime(march, (later, later))
    second_log = project.meltano("run", TAP, TARGET)
    assert "No state was found" not in second_log
    assert second_log.count("Skipping /") == 6
    assert project.counts() == first | {"flights": 42}
    new = project.query(
        f"select carrier, flight, dep_delay, cast(time_hour as varchar) from import_api.flights "  # noqa: S608
        f"where _sdc_sequence > {last_sequence} order by flight"
    )
    assert new == [("B6", 11, 125, "2013-03-02 02:00:00"), ("B6", 707, 52, "2013-03-02 04:00:00")]
    assert project.file.read_text() == before
