"""Decides which versions of tables a replay sends and activates.

Invariants: nothing of a version is sent if a line says that a newer one was loaded later. Of the
activations that were set aside, the newest of each table is sent, after all records; none is sent
after a line of a newer version was read, because it could delete newer rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_stitch_import.errors import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from target_stitch_import.toolbox.saved_lines import DeadActivation, Place, SavedRequest


class Versions:
    """The versions in the lines of all files of a replay.

    Args:
        loaded: By table, the newest version that was loaded later, according to the lines.
        note: Called with a message about each version that is not sent.
    """

    def __init__(self, loaded: Mapping[str, int], note: Callable[[str], None]) -> None:
        self._loaded = loaded
        self._note = note
        self._newest: dict[str, int] = {}
        self._activations: dict[str, tuple[Place, DeadActivation]] = {}
        self._noted: set[tuple[str, int]] = set()

    def note_if_replaced(self, place: Place, request: SavedRequest) -> bool:
        """Return whether a newer version was loaded later; if so, note it once for each version.

        Rows of an older version must not reach the table.
        """
        table, version = request.table_name, request.table_version
        newer = self._loaded.get(table)
        if newer is None or version is None or version >= newer:
            return False
        if (table, version) not in self._noted:
            self._noted.add((table, version))
            self._note(
                f"{place}: version {version} of table {quoted(table)} is not sent, because "
                f"version {newer} was loaded later. Remove the lines of version {version} from the "
                "file."
            )
        return True

    def register(self, request: SavedRequest) -> None:
        """Register the version of a line that is sent."""
        table, version = request.table_name, request.table_version
        if version is not None:
            self._newest[table] = max(version, self._newest.get(table, version))

    def note_if_outdated(self, place: Place, table: str, version: int | None) -> bool:
        """Return whether a line of a newer version was read; if so, note it.

        The older version must then not be activated.
        """
        if version is None or version >= self._newest.get(table, version):
            return False
        self._note(
            f"{place}: version {version} of table {quoted(table)} is not activated, because "
            "there are lines of a newer one."
        )
        return True

    def keep(self, place: Place, activation: DeadActivation) -> None:
        """Keep an activation until all records are sent; only the newest of each table."""
        table, new = activation.request.table_name, (place, activation)
        old = self._activations.get(table)
        if old is None or old[1].version <= activation.version:
            self._activations[table] = new
        if old is not None and old[1].version != activation.version:
            outdated_place, outdated = min(old, new, key=lambda each: each[1].version)
            self.note_if_outdated(outdated_place, table, outdated.version)

    def kept(self) -> Iterator[tuple[Place, DeadActivation]]:
        """Yield the activations to send; each counts as waiting until the next one is requested."""
        while self._activations:
            table, (place, activation) = next(iter(self._activations.items()))
            if not self.note_if_outdated(place, table, activation.version):
                yield place, activation
            del self._activations[table]

    def waiting(self) -> Iterator[Place]:
        """Yield the lines of the activations that are kept."""
        yield from (place for place, _ in self._activations.values())
