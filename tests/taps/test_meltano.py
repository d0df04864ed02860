"""A Meltano project that replicates a database."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.meltano import MELTANO, ROOT, Project
from tests.support.programs import skip_or_fail
from tests.taps.reading import NUMBER, loaded

if TYPE_CHECKING:
    from pathlib import Path

    from tests.taps.sources import Source

TARGET = {
    "name": "target-stitch-import",
    "namespace": "target_stitch_import",
    "executable": str(ROOT / ".venv" / "bin" / "target-stitch-import"),
    "config": {"region": "local", "token": "any"},
}


def project(source: Source, schema: str, **settings: Any) -> str:
    """Return a meltano.yml with the method of each table, and corrected schemas."""
    extractor = {
        "name": "tap-postgres",
        "namespace": "tap_postgres",
        "executable": str(source.tap.program),
        "capabilities": ["catalog", "discover", "state"],
        "config": {**source.over(schema).config, **settings},
        "select": [f"{schema}-orders.*", f"{schema}-own_types.*", f"{schema}-enums.*"],
        "metadata": {
            f"{schema}-orders": {
                "replication-method": "INCREMENTAL",
                "replication-key": "updated",
            },
            f"{schema}-own_types": {"replication-method": "FULL_TABLE"},
            f"{schema}-enums": {"replication-method": "LOG_BASED"},
        },
        "schema": {
            f"{schema}-own_types": {
                "d": {"type": ["null", "integer"]},
                "p": {"type": ["null", "number"]},
            }
        },
    }
    plugins = {"extractors": [extractor], "loaders": [TARGET]}
    environments = [{"name": "prod"}]
    content = {
        "send_anonymous_usage_stats": False,
        "default_environment": "prod",
        "environments": environments,
        "plugins": plugins,
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("source", ["meltano"], indirect=True)
def test_meltano_runs_continue_from_their_state(source: Source, tmp_path: Path) -> None:
    """Each table is replicated by another method, and a second run follows changes."""
    if not MELTANO.exists():
        skip_or_fail("Meltano is not installed: run `make test`")
    schema = "meltano"
    names = ["orders", "own_types", "enums"]
    source.server.copy(schema, names)
    source.server.fill(schema, names)
    slot = "meltano_run"
    replace(source, slot=slot).make_slot()
    text = project(source, schema, replication_slot_name=slot)
    run = Project(tmp_path, text)
    run.meltano("run", "tap-postgres", "target-stitch-import")
    source.server.run(
        f"""
        UPDATE {schema}.orders SET name = 'changed', updated = '2025-01-01' WHERE id = 1;
        INSERT INTO {schema}.own_types VALUES (3, 7, 0.5, NULL);
        UPDATE {schema}.enums SET m = 'ok' WHERE id = 0;
        DELETE FROM {schema}.enums WHERE id = 1;
        """  # noqa: S608 - our own names
    )
    run.meltano("run", "tap-postgres", "target-stitch-import")
    assert source.all_differences(run, schema, names) == {}
    gone = loaded(run, f"{schema}-enums", {"id": NUMBER}, "_sdc_deleted_at IS NOT NULL")
    assert list(gone) == [(1,)]
