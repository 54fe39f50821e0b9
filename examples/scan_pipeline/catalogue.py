"""The catalogue: a SQLite file that knows of each scanned package its fingerprint and its imports."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

SCHEMA = """
    create table if not exists package (name text primary key, fingerprint text not null);
    create table if not exists import (
        package text not null references package (name),
        source text not null,
        target text not null,
        primary key (source, target)
    );
"""


@dataclass(frozen=True)
class Catalogue:
    """Opens its file for each question and each upload, so that it can be used from any thread."""

    path: Path

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write."""
        with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            yield connection

    def fingerprints(self) -> dict[str, str]:
        """Package to the fingerprint under which it was uploaded; empty when there is no catalogue."""
        if not self.path.exists():
            return {}
        with self.reader() as connection:
            return dict(connection.execute("select name, fingerprint from package order by name"))

    def outdated(self, wanted: Mapping[str, str]) -> list[str]:
        """The packages of `wanted` (package to fingerprint) that the catalogue does not know like this."""
        known = self.fingerprints()
        return [package for package, fingerprint in wanted.items() if known.get(package) != fingerprint]

    def size(self) -> dict[str, int]:
        """How many packages and imports the catalogue holds."""
        with self.reader() as connection:
            counts = "select (select count(*) from package), (select count(*) from import)"
            return dict(zip(("packages", "imports"), connection.execute(counts).fetchone(), strict=True))

    def upload(self, fingerprints: Mapping[str, str], edges: Mapping[str, list[tuple[str, str]]]) -> None:
        """Replace what is known of these packages: all of them, or after an error none."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(SCHEMA)
            with connection:  # one transaction
                for package, pairs in edges.items():
                    connection.execute("delete from import where package = ?", [package])
                    connection.execute("replace into package values (?, ?)", [package, fingerprints[package]])
                    rows = ([package, source, target] for source, target in pairs)
                    connection.executemany("insert into import values (?, ?, ?)", rows)

    def backup(self, target: Path) -> None:
        """Copy the catalogue; `target` appears only when it is complete."""
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        with self.reader() as source, closing(sqlite3.connect(unfinished)) as copy:
            source.backup(copy)
        unfinished.replace(target)
