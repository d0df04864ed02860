"""The documentation is true: commands run, programs parse, links have targets."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

from target_stitch_import import errors
from target_stitch_import.cli import command
from target_stitch_import.config.settings import Settings
from target_stitch_import.config.table import setting_names
from tests.support.makefile import MAKEFILE, targets
from tests.support.page_commands import blocks, run
from tests.support.processes import until
from tests.support.programs import require
from tests.support.singer import record, schema, state

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
MIGRATION = (DOCS / "migration.md").read_text()
GUIDE = (DOCS / "guide.md").read_text()
COOKBOOK = (DOCS / "cookbook.md").read_text()
TOP = [ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")]
RUN_ELSEWHERE = {
    "scaling.md": "its commands need a cluster; tests/spark runs the data source on Spark",
    "stitch-import.md": "tests/toolbox/test_toolbox_page.py runs it, failures included",
}
OURS = [*TOP, *(page for page in sorted(DOCS.glob("*.md")) if page.name not in RUN_ELSEWHERE)]
PAGES = [*OURS, *(DOCS / name for name in RUN_ELSEWHERE), ROOT / "benchmarks" / "README.md"]

FROM_TARGET_STITCH = (
    *("token", "client_id", "small_batch_url", "big_batch_url", "batch_size_preferences"),
    *("turbo_boost_factor", "disable_collection"),
    *("-c", "--config", "-n", "--dry-run", "-o", "--output-file", "-v", "--verbose"),
    *("-q", "--quiet", "--max-batch-records", "--max-batch-bytes", "--batch-delay-seconds"),
)
NOT_RUN = {
    "make demo": "takes minutes; tests/program/test_demo.py runs it on less",
    "cat > tap-spreadsheets.yml": "tests/program/test_meltano.py runs it",
    "docker build": "needs a container engine",
    "make bench": "measures for half an hour",
}
"""The beginnings of blocks that are not run here, and why."""


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)[^)]*\)", page.read_text()):
        if not link.startswith("http"):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_page_is_in_the_index(page: Path) -> None:
    assert page.name == "README.md" or f"]({page.name})" in (DOCS / "README.md").read_text()


@pytest.fixture
def shell(api: ImportApi, tmp_path: Path) -> dict[str, str]:
    """The environment for a page's commands: its programs, with stubs for `pip` and a tap."""
    programs = tmp_path / "bin"
    programs.mkdir()
    messages = [schema(), record(1), state({"at": 1})]
    stubs = {
        "pip": "exit 0",
        "pipx": "exit 0",
        "tap-something": "\n".join(f"echo {shlex.quote(json.dumps(each))}" for each in messages),
    }
    for name, text in stubs.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o700)
    ours = Path(sys.executable).parent
    taps = ROOT / ".tools" / "tap-spreadsheets" / "bin"
    path = os.pathsep.join(map(str, (programs, ours, taps, os.environ["PATH"])))
    return {**os.environ, "PATH": path, "API_URL": api.url}


@pytest.mark.parametrize(
    "page", [page for page in OURS if blocks(page)], ids=lambda page: page.name
)
def test_commands_run_and_print_the_output_on_the_page(
    page: Path, shell: dict[str, str], tmp_path: Path
) -> None:
    """The local Import API replaces Stitch; everything else is as the reader types it.

    `init` gets its answers from options and the environment. Only its owner may read a file with a
    token.
    """
    url = shell["API_URL"]
    account = ('"region": "us"', f'"api_url": "{url}"')
    answered = ("stitch-import init", f"stitch-import init --region us --api-url {url}")
    shell |= {"TARGET_STITCH_IMPORT_TOKEN": "YOUR-TOKEN"}
    old = _migrated()[0].replace("https://api.stitchdata.com", shell["API_URL"])
    (tmp_path / "target-stitch.json").touch(mode=0o600)
    (tmp_path / "target-stitch.json").write_text(old)
    for block in blocks(page):
        if block[0].text.startswith(tuple(NOT_RUN)):
            continue
        for line in block:
            line.text = line.text.replace(*account).replace(*answered)
            run(line, tmp_path, shell)
    secret = [path for path in tmp_path.glob("*.json") if "YOUR-TOKEN" in path.read_text()]
    assert not [path.name for path in secret if path.stat().st_mode & 0o077]


def _migrated() -> list[str]:
    """Return the old and the new configuration in the page about migration."""
    return re.findall(r"^```json\n(.*?)^```$", MIGRATION, re.DOTALL | re.MULTILINE)


def test_the_new_configuration_says_the_same_as_the_old() -> None:
    old, new = (Settings.load(json.loads(text)) for text in _migrated())
    assert new.endpoint("agent") == old.endpoint("agent")
    assert new.max_in_flight_requests == old.turbo_boost_factor


@pytest.mark.parametrize("name", FROM_TARGET_STITCH)
def test_settings_and_options_of_target_stitch_are_accepted_and_documented(name: str) -> None:
    assert f"`{name}`" in MIGRATION
    known = {each for option in command.params for each in option.opts}
    assert name in known | set(setting_names())


def test_blocks_that_are_not_run_exist_and_are_few() -> None:
    first = [block[0].text for page in OURS for block in blocks(page)]
    assert not [start for start in NOT_RUN if not any(each.startswith(start) for each in first)]
    assert len([each for each in first if each.startswith(tuple(NOT_RUN))]) <= 5


def test_completion_is_set_up_as_the_guide_says(shell: dict[str, str]) -> None:
    [script] = re.findall(r"^```bash\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    script += "complete -p target-stitch-import stitch-import"
    done = subprocess.run(["bash", "-c", script], env=shell, check=True, capture_output=True)
    assert done.stdout.count(b"complete -o nosort -F _") == 2


def recipe(language: str) -> list[str]:
    """Return the cookbook's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", COOKBOOK, re.DOTALL | re.MULTILINE)


class Folder:
    """A folder with the cookbook's script, and a tap that saves the state it is given."""

    TAP = """#!/bin/sh
        while [ $# -gt 0 ]; do [ "$1" = --state ] && cp "$2" work/given; shift; done
        cat messages
    """

    def __init__(self, folder: Path, shell: dict[str, str]) -> None:
        require("flock")
        self.folder = folder
        self.shell = shell
        script, *_ = recipe("bash")
        for name, text in {"sync.sh": script, "bin/tap-spreadsheets": self.TAP}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o700)
        config = {"api_url": shell["API_URL"], "token": "T1", "batch_delay_seconds": 0.1}
        (folder / "config.json").write_text(json.dumps(config))

    def sync(self, *messages: Any) -> int:
        """Run the script on messages of the tap; return its exit status."""
        text = "".join(f"{json.dumps(each)}\n" for each in messages)
        (self.folder / "messages").write_text(text)
        return subprocess.run(
            [self.folder / "sync.sh"], check=False, env=self.shell, capture_output=True
        ).returncode

    def given(self) -> str:
        """Return the last state that the tap was given."""
        return (self.folder / "work" / "given").read_text()


def test_the_script_continues_from_the_last_state(shell: dict[str, str], tmp_path: Path) -> None:
    """After a success, after a failure, and after a state that was cut off by `kill -9`."""
    folder = Folder(tmp_path, shell)
    assert folder.sync(schema(), record(1), state(1)) == 0
    assert not (tmp_path / "work" / "given").exists()
    assert folder.sync(schema(), record(2), state(2), record(9, name=5)) == 65
    assert folder.given() == "1\n"
    assert folder.sync(schema(), record(9, name=5)) == 65
    assert folder.given() == "2\n"
    assert folder.sync(schema(), record(3), state(3)) == 0
    assert folder.given() == "2\n"
    with (tmp_path / "work" / "states.jsonl").open("a") as states:
        states.write('{"cut o')
    assert folder.sync(schema(), record(4), state(4)) == 0
    assert folder.given() == "3\n"


def test_the_script_runs_once_at_a_time(shell: dict[str, str], tmp_path: Path) -> None:
    folder = Folder(tmp_path, shell)
    (tmp_path / "work").mkdir()
    with subprocess.Popen(["flock", tmp_path / "work" / "lock", "cat"], stdin=subprocess.PIPE):
        assert folder.sync(schema(), record(1), state(1)) == 75
    assert not (tmp_path / "work" / "states.jsonl").exists()


def test_the_script_does_not_run_without_a_lock(shell: dict[str, str], tmp_path: Path) -> None:
    """A machine without `flock` must not look as if another run held the lock."""
    folder = Folder(tmp_path, shell)
    (tmp_path / "bin" / "flock").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "bin" / "flock").chmod(0o700)
    assert folder.sync(schema(), record(1), state(1)) == 78
    assert not (tmp_path / "work" / "states.jsonl").exists()


def test_the_script_waits_for_the_target_after_a_signal(
    api: ImportApi, shell: dict[str, str], tmp_path: Path
) -> None:
    """`docker stop` ends the container as soon as the script ends, so that must be last."""
    Folder(tmp_path, shell)
    os.mkfifo(tmp_path / "messages")
    states = tmp_path / "work" / "states.jsonl"
    with (
        subprocess.Popen([tmp_path / "sync.sh"], env=shell, start_new_session=True) as script,
        (tmp_path / "messages").open("w", buffering=1) as messages,
    ):
        messages.writelines(f"{json.dumps(each)}\n" for each in (schema(), record(1), state(1)))
        until(lambda: states.exists() and states.read_text() == "1\n")
        api.set_faults([{"kind": "latency", "seconds": 1}])
        messages.writelines(f"{json.dumps(each)}\n" for each in (record(2), state(2)))
        until(lambda: requests.get(f"{api.url}/_local/faults", timeout=5).json() == [])
        os.killpg(script.pid, signal.SIGTERM)
        assert script.wait(20) == 143
        assert states.read_text() == "1\n2\n"


def test_the_tap_s_failure_is_not_hidden(shell: dict[str, str], tmp_path: Path) -> None:
    folder = Folder(tmp_path, shell)
    (tmp_path / "bin" / "tap-spreadsheets").write_text("#!/bin/sh\nexit 3\n")
    assert folder.sync() == 3


@pytest.mark.parametrize("program", recipe("python"))
def test_programs_for_schedulers_are_python(program: str) -> None:
    tree = ast.parse(program)
    assert ast.get_docstring(tree)
    # The statuses that need a person are the same everywhere; all others are retried.
    [statuses] = [
        ast.literal_eval(each.value)
        for each in tree.body
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "NEEDS_A_PERSON"
    ]
    assert statuses == {65, 70, 71, 74, 76, 77, 78}
    listed = ", ".join(map(str, sorted(statuses)))
    assert f"needs a person ({listed})" in re.sub(r"\s+", " ", COOKBOOK)
    assert f"Alert on {listed.removesuffix(', 78')} and 78:" in re.sub(r"\s+", " ", GUIDE)


def test_the_workflow_runs_the_script_and_keeps_the_state() -> None:
    [text] = recipe("yaml")
    [job] = yaml.safe_load(text)["jobs"].values()
    steps = job["steps"]
    assert "./sync.sh" in [step.get("run") for step in steps]
    caches = [step["with"] for step in steps if "cache" in step.get("uses", "")]
    kept = ["work/states.jsonl", "work/state.json"]
    assert [each["path"].split() for each in caches] == [kept, kept]
    assert caches[0]["key"] == caches[1]["key"]


def test_the_crontab_is_valid() -> None:
    [text] = recipe("crontab")
    settings = [line for line in text.splitlines() if re.fullmatch(r"[A-Z]+=\S+", line)]
    [job] = [line for line in text.splitlines() if line not in settings]
    *times, command = job.split()
    assert len(times) == 5
    assert command.endswith("/sync.sh")


def test_the_units_of_systemd_can_be_loaded(tmp_path: Path) -> None:
    require("systemd-analyze")
    script = tmp_path / "sync.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    units = []
    for text in recipe("ini"):
        path = tmp_path / text.splitlines()[0].removeprefix("# ")
        path.write_text(text.replace("/home/sync/people/sync.sh", str(script)))
        units.append(path)
    assert [path.name for path in units] == ["people.service", "people.timer"]
    assert "\nRestartPreventExitStatus=65 70 71 74 76 77 78\n" in units[0].read_text()
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], check=False, capture_output=True, text=True
    )
    problems = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert (done.returncode, problems) == (0, [])


def test_the_image_is_built_from_known_instructions_and_runs_the_script() -> None:
    [text] = recipe("dockerfile")
    instructions = re.sub(r"\\\n", " ", text).splitlines()
    names = [each.split(maxsplit=1)[0] for each in instructions]
    assert names[0] == "FROM"
    assert set(names) <= {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "USER", "VOLUME", "ENTRYPOINT"}
    assert names.index("USER") < names.index("ENTRYPOINT")
    entry = json.loads(instructions[-1].removeprefix("ENTRYPOINT "))
    assert entry[-1] == "./sync.sh"
    [run_line] = [each for each in instructions if each.startswith("RUN ")]
    checked = subprocess.run(["bash", "-n", "-c", run_line.removeprefix("RUN ")], check=False)
    assert checked.returncode == 0


def test_the_readme_s_command_line_is_that_of_the_program() -> None:
    section = README.read_text().partition("\n## Command line\n")[2].partition("\n## ")[0]
    listed = re.findall(r"(?<=[`\[])--?[a-z][a-z-]*", section)
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    assert not [each.opts for each in shown if not {*each.opts} & {*listed}]
    assert set(listed) <= {name for each in shown for name in each.opts} | {"--help"}


def test_every_exit_status_is_in_the_readme() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    failures = {each for each in kinds if issubclass(each, errors.TargetError)}
    statuses = {each.exit_status for each in failures if hasattr(each, "exit_status")}
    assert 70 in statuses
    assert statuses == set(errors.FAILURES)
    readme = README.read_text()
    assert not [status for status in statuses if f"\n| {status} |" not in readme]
    tool = (DOCS / "stitch-import.md").read_text()
    assert not [status for status in statuses if f"\n    {status}   " not in tool]


def test_every_command_of_the_makefile_is_on_a_page() -> None:
    """Except for those that are only steps of other commands."""
    named = {name for page in TOP for name in re.findall(r"\bmake ([a-z-]+)", page.read_text())}
    assert set(targets()) - named == {"uv", "lint", "types", "unit"}


def test_commands_and_variables_of_make_exist() -> None:
    text = "\n".join(page.read_text() for page in [*PAGES, *DOCS.glob("*.md")])
    commands = re.findall(r"(?:`|^)make ([a-z][\w-]*)", text, re.MULTILINE)
    assert len(commands) > 20
    assert set(commands) <= set(targets())
    variables = re.findall(r"`([A-Z_]+)=`", (ROOT / "CONTRIBUTING.md").read_text())
    assert variables
    assert not [name for name in variables if f"$({name})" not in MAKEFILE.read_text()]
