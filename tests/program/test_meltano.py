"""Meltano runs the project's own meltano.yml, with real plugins in their own environments."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from target_stitch_import.config.table import SECRETS, json_schema
from target_stitch_import.target import TargetStitchImport
from tests.support.dbase import write_dbase
from tests.support.meltano import MELTANO, ROOT, Project
from tests.support.page_commands import blocks
from tests.support.toolbox import TOOL
from tools.settings_table import COPIES, PLUGIN, Copy

TAP_DBF = ROOT / ".tools" / "tap-dbf" / "bin" / "tap-dbf"
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


@pytest.mark.parametrize("copy", COPIES, ids=lambda copy: copy.path.name)
def test_generated_copies_of_the_settings_are_current(copy: Copy) -> None:
    """Whoever adds a setting adds it to the documentation and to Meltano, too."""
    assert copy.path.read_text() == copy.current(), "run `python -m tools.settings_table`"


def test_the_plugin_definition_has_the_members_of_meltano_hub() -> None:
    definition = yaml.safe_load(PLUGIN.read_text())
    assert {"name", "namespace", "variant", "label"} <= set(definition)
    listed = {each["name"]: each for each in definition["settings"]}
    assert list(listed) == list(json_schema()["properties"])
    assert [name for name, each in listed.items() if each.get("sensitive")] == sorted(SECRETS)
    assert all(each["label"] and each["description"] for each in listed.values())
    assert all(set(group) <= set(listed) for group in definition["settings_group_validation"])


def test_capabilities_are_those_of_the_target(plugins: dict[str, Any]) -> None:
    assert set(plugins[TARGET]["capabilities"]) == {
        each.value for each in TargetStitchImport.capabilities
    }


def test_tap_is_set_as_in_the_demo(plugins: dict[str, Any]) -> None:
    demo = (ROOT / "demo" / "tap-spreadsheets.json").read_text()
    assert plugins[TAP]["config"] == json.loads(demo.replace(".demo/data", "$NYCFLIGHTS"))
    locked = (ROOT / "demo" / "requirements.txt").read_text().splitlines()
    assert plugins[TAP]["pip_url"] in locked


@pytest.mark.timeout(300)  # a first install downloads what both plugins need
def test_a_second_run_continues_from_the_stored_state(tmp_path: Path) -> None:
    """As a newcomer would: install, run, run again when there is one file more."""
    shutil.copytree(ROOT / "demo" / "sample", tmp_path / "demo" / "sample")
    text = (ROOT / "meltano.yml").read_text()
    assert text.count("pip_url: -e .[local]") == 1
    project = Project(tmp_path, text.replace("-e .[local]", f"-e {ROOT}[local]"))
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


DBASE_PROJECT = f"""\
send_anonymous_usage_stats: false
default_environment: prod
environments:
- name: prod
plugins:
  extractors:
  - name: tap-dbf
    namespace: tap_dbf
    executable: {TAP_DBF}
    capabilities: [catalog, discover, state]
    settings: [{{name: path}}, {{name: stream_maps, kind: object}},
               {{name: emit_activate_version_messages, kind: boolean}}]
    config:
      path: $MELTANO_PROJECT_ROOT/people.dbf
      emit_activate_version_messages: true
      stream_maps:
        people: {{_sdc_filepath: __NULL__, _sdc_row_index: __NULL__, __key_properties__: [ID]}}
"""
SECRET = "at_a-secret-of-meltano"  # noqa: S105 - a test's own


@pytest.mark.timeout(300)
def test_a_meltano_project_replicates_deletions_of_a_tap_with_versions(tmp_path: Path) -> None:
    """The definition is added, configured, shown and run; a row deleted at the source is gone."""
    assert TAP_DBF.exists(), "tap-dbf is not installed: run `make test`."
    project = Project(tmp_path, DBASE_PROJECT)
    init = [*TOOL, "init", "--meltano", "--region", "local"]
    subprocess.run(init, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    reference = tmp_path / f"{TARGET}.yml"
    assert f"pip_url: -e {ROOT}[local]\n" in reference.read_text()
    add = ("add", "--plugin-type", "loader", TARGET, "--from-ref", str(reference), "--install")
    project.meltano(*add)
    about = project.meltano("invoke", TARGET, "--about", "--format", "json")
    assert json.loads(about[about.index("{") :])["name"] == TARGET

    project.meltano("config", "set", TARGET, "token", SECRET)
    assert SECRET not in project.file.read_text()
    shown = project.meltano("config", "list", TARGET)
    assert SECRET not in shown
    assert "(redacted)" in shown
    assert "current value: 'local'" in shown

    write_dbase(tmp_path / "people.dbf", [(1, "Finn"), (2, "Jake")])
    project.meltano("run", "tap-dbf", TARGET)
    current = """select "ID", trim("NAME") from import_api.people order by 1"""
    assert project.query(current) == [(1, "Finn"), (2, "Jake")]
    write_dbase(tmp_path / "people.dbf", [(2, "Jake the Dog"), (3, "Bubblegum")])
    project.meltano("job", "add", "people", "--tasks", f"tap-dbf {TARGET}")
    project.meltano("schedule", "add", "people", "--job", "people", "--interval", "@hourly")
    project.meltano("schedule", "run", "people")
    assert project.query(current) == [(2, "Jake the Dog"), (3, "Bubblegum")]


@pytest.mark.timeout(300)
def test_the_meltano_recipe_of_the_cookbook_runs(tmp_path: Path) -> None:
    """Only the account is replaced. `stitch-import` is not in an environment of Meltano."""
    [recipe] = [
        block[0].text
        for block in blocks(ROOT / "docs" / "cookbook.md")
        if "meltano" in block[0].text
    ]
    assert recipe.count("stitch-import init --meltano\n") == 1
    project = Project(tmp_path, "default_environment: dev\nenvironments:\n- name: dev\n")
    (tmp_path / "people.csv").write_text("id,name\n1,Finn\n2,Jake\n")
    printed = project.run(
        *("bash", "-euc", recipe.replace("init --meltano", "init --meltano --region local")),
        path=(MELTANO.parent, Path(sys.executable).parent),
    )
    assert project.query("select name from import_api.people order by 1") == [("Finn",), ("Jake",)]
    assert "Scheduled job 'people'" in printed
