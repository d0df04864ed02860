"""Runs the cookbook's recipes for Airflow and Dagster with Airflow and Dagster: `make schedulers`.

Both are large, so each has its own environment, which only this command installs. The recipes start
a script that only exits with a status; tests/docs runs the real script.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
COOKBOOK = ROOT / "docs" / "cookbook.md"
SCRIPT = """#!/bin/sh
echo '{"streams": {"people": {"acknowledged": 3}}, "seconds": 1.5}' > /opt/people/work/summary.json
exit $STATUS
"""
EXPECTED = {
    "airflow": {0: "state=success", 65: "AirflowFailException: Exit status 65", 69: "up_for_retry"},
    "dagster": {0: "RUN_SUCCESS", 65: "RUN_FAILURE", 69: "requested a retry in 600 seconds"},
}
"""What each logs after a script with a status; the retry comes minutes later and is not run."""


def programs(folder: Path) -> None:
    """Write both recipes and the script below `folder`."""
    recipes = re.findall(r"^```python\n(.*?)^```$", COOKBOOK.read_text(), re.DOTALL | re.MULTILINE)
    airflow, dagster = recipes
    people = folder / "people"
    (people / "work").mkdir(parents=True)
    (folder / "dags").mkdir()
    texts = {
        folder / "dags" / "people.py": airflow,
        folder / "people.py": dagster,
        people / "sync.sh": SCRIPT,
    }
    for path, text in texts.items():
        path.write_text(text.replace("/opt/people", str(people)))
    (people / "sync.sh").chmod(0o700)


def logs(folder: Path, command: list[str], status: int, expected: str) -> bool:
    """Run a command until it logs `expected`, or ends; return whether it logged it."""
    places = {
        "AIRFLOW_HOME": folder,
        "AIRFLOW__CORE__DAGS_FOLDER": folder / "dags",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "DAGSTER_HOME": folder,
        "STATUS": status,
    }
    with subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {name: str(value) for name, value in places.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        found = any(expected in line for line in process.stdout)
        process.kill()
    return found


def main() -> int:
    """Run both recipes with each status; return the exit status."""
    failures = 0
    with TemporaryDirectory() as name:
        folder = Path(name)
        programs(folder)
        tools = {each: str(ROOT / ".tools" / each / "bin" / each) for each in EXPECTED}
        logs(folder, [tools["airflow"], "db", "migrate"], 0, "(no such line: run to the end)")
        commands = {
            "airflow": [tools["airflow"], "dags", "test", "people_to_stitch"],
            "dagster": [
                *(tools["dagster"], "asset", "materialize", "-f", "people.py"),
                *("--select", "people_in_stitch"),
            ],
        }
        for scheduler, statuses in EXPECTED.items():
            for status, expected in statuses.items():
                is_right = logs(folder, commands[scheduler], status, expected)
                failures += not is_right
                print(f"{scheduler}, exit status {status}: {'as it should' if is_right else 'NO'}")  # noqa: T201 - a command for people
    return failures


if __name__ == "__main__":
    sys.exit(main())
