"""Which versions of tables a replay sends and activates.

Invariants: nothing of a version is sent where a line says that a newer one was loaded since. Of the
activations that were set aside, the newest of each table goes out, and after all records; no
activation goes out after a line of a newer version was read: it could delete newer rows.
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
        loaded: The newest version of each table of which a line says that it was loaded since.
        note: Told what is not sent.
    """

    def __init__(self, loaded: Mapping[str, int], note: Callable[[str], None]) -> None:
        self._loaded = loaded
        self._note = note
        self._newest: dict[str, int] = {}
        self._activations: dict[str, tuple[Place, DeadActivation]] = {}
        self._noted: set[tuple[str, int]] = set()

    def note_if_replaced(self, place: Place, request: SavedRequest) -> bool:
        """Tell the user, once for each version, if a newer one was loaded since; return whether.

        What is older must not reach the table.
        """
        table, version = request.table_name, request.table_version
        newer = self._loaded.get(table)
        if newer is None or version is None or version >= newer:
            return False
        if (table, version) not in self._noted:
            self._noted.add((table, version))
            self._note(
                f"{place}: version {version} of table {quoted(table)} is not sent, as version "
                f"{newer} was loaded since. Take its lines out of the file."
            )
        return True

    def read(self, request: SavedRequest) -> None:
        """Note a line that is replayed."""
        table, version = request.table_name, request.table_version
        if version is not None:
            self._newest[table] = max(version, self._newest.get(table, version))

    def note_if_outdated(self, place: Place, table: str, version: int | None) -> bool:
        """Tell the user if a line of a newer version was read; return whether.

        Then this one is not activated.
        """
        if version is None or version >= self._newest.get(table, version):
            return False
        self._note(
            f"{place}: version {version} of table {quoted(table)} is not activated, as there are "
            "lines of a newer one."
        )
        return True

    def keep(self, place: Place, letter: DeadActivation) -> None:
        """Keep an activation until all records are sent; of each table, the newest alone."""
        table = letter.request.table_name
        both = [self._activations.get(table, (place, letter)), (place, letter)]
        (older_place, older), newest = sorted(both, key=lambda each: each[1].version)
        if older.version < newest[1].version:
            self.note_if_outdated(older_place, table, older.version)
        self._activations[table] = newest

    def kept(self) -> Iterator[tuple[Place, DeadActivation]]:
        """Yield the activations to be sent; each is kept until the next one is asked for."""
        while self._activations:
            table, (place, letter) = next(iter(self._activations.items()))
            if not self.note_if_outdated(place, table, letter.version):
                yield place, letter
            del self._activations[table]

    def waiting(self) -> Iterator[Place]:
        """Yield where the activations are that are kept."""
        yield from (place for place, _ in self._activations.values())
