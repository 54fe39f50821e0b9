"""The kinds of archives: how their members are written, always with the same bytes, and read."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Literal, Protocol

from jobtest.core.errors import Problem
from jobtest.tasks import TaskFailed

__all__ = ["DamagedError", "Format", "Member", "Tar", "Traits", "Zip", "traits_of"]

Kind = Literal["file", "folder", "link", "other"]

EPOCH = 315532800
"""The time of each entry: 1980-01-01, the first that a zip file can tell."""

LEVEL = 6
"""What `gzip` and `zip` do by default; the highest takes several times as long for little."""

CHUNK = 1 << 20
TYPES: dict[Kind, int] = {"file": stat.S_IFREG, "folder": stat.S_IFDIR, "link": stat.S_IFLNK}


class DamagedError(Exception):
    """An archive that cannot be read to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One thing to pack.

    Attributes:
        name: In the archive.
        kind: What it is.
        path: Where it is.
        program: It may be executed.
        link: What it leads to, if it is a link.
    """

    name: str
    kind: Kind
    path: Path
    program: bool = False
    link: str = ""

    @property
    def mode(self) -> int:
        """Its permissions in an archive."""
        return {"folder": 0o755, "link": 0o777}.get(self.kind, 0o755 if self.program else 0o644)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What two entries of one name are compared by: kind, permissions, digest of content or text of link."""

    kind: Kind
    mode: int
    content: str = ""


class Format(Protocol):
    """A kind of archive."""

    def write(self, stream: BinaryIO, members: Iterable[Member]) -> None:
        """Write an archive; the same members give the same bytes."""

    def read(self, path: Path) -> dict[str, Traits]:
        """Return what is in an archive, by name.

        Raises:
            DamagedError: it is none, or not whole.
        """


def traits_of(member: Member) -> Traits:
    """Return the traits of what is to be packed."""
    content = member.link
    if member.kind == "file":
        with member.path.open("rb") as stream:
            content = _digest(stream)
    return Traits(kind=member.kind, mode=member.mode, content=content)


class Tar:
    """`.tar.gz`."""

    def write(self, stream: BinaryIO, members: Iterable[Member]) -> None:
        """Write an archive; the same members give the same bytes."""
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=LEVEL, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for member in members:
                self._add(tar, member)

    def _add(self, tar: tarfile.TarFile, member: Member) -> None:
        info = tarfile.TarInfo(member.name)
        info.mode, info.mtime, info.linkname = member.mode, EPOCH, member.link
        if member.kind != "file":
            info.type = tarfile.DIRTYPE if member.kind == "folder" else tarfile.SYMTYPE
            tar.addfile(info)
            return
        with member.path.open("rb") as source:
            info.size = os.fstat(source.fileno()).st_size
            tar.addfile(info, source)

    def read(self, path: Path) -> dict[str, Traits]:
        """Return what is in an archive, by name."""
        try:
            with gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r:") as tar:
                found = {info.name: self._traits(tar, info) for info in tar}
                while packed.read(CHUNK):  # its checksum stands at the very end
                    pass
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise DamagedError(str(error)) from error
        return found

    def _traits(self, tar: tarfile.TarFile, info: tarfile.TarInfo) -> Traits:
        if info.isreg():
            source = tar.extractfile(info)
            assert source is not None
            return Traits(kind="file", mode=info.mode, content=_digest(source))
        kind: Kind = "folder" if info.isdir() else "link" if info.issym() else "other"
        return Traits(kind=kind, mode=info.mode, content=info.linkname)


class Zip:
    """`.zip`."""

    def write(self, stream: BinaryIO, members: Iterable[Member]) -> None:
        """Write an archive; the same members give the same bytes."""
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as packed:
            for member in members:
                try:
                    self._add(packed, member)
                except UnicodeEncodeError as error:
                    what = f"{member.name!r} cannot be packed: a zip file takes names in UTF-8 alone"
                    problem = Problem(
                        what=what, at=(repr(str(member.path)),), fix="use .tar.gz, or rename it"
                    )
                    raise TaskFailed(problem) from error

    def _add(self, packed: zipfile.ZipFile, member: Member) -> None:
        info = zipfile.ZipInfo(member.name + ("/" if member.kind == "folder" else ""))
        info.create_system = 3  # Unix: links and permissions count
        info.external_attr = (TYPES[member.kind] | member.mode) << 16
        if member.kind != "file":
            packed.writestr(info, os.fsencode(member.link))
            return
        info.compress_type = zipfile.ZIP_DEFLATED
        with member.path.open("rb") as source:
            info.file_size = left = os.fstat(source.fileno()).st_size
            with packed.open(info, "w") as entry:
                while left:
                    data = source.read(min(left, CHUNK))
                    if not data:
                        raise OSError(f"{member.path} became shorter while it was read")
                    left -= entry.write(data)

    def read(self, path: Path) -> dict[str, Traits]:
        """Return what is in an archive, by name."""
        try:
            with zipfile.ZipFile(path) as packed:
                return {info.filename.rstrip("/"): self._traits(packed, info) for info in packed.infolist()}
        except (
            OSError,
            EOFError,
            zlib.error,
            zipfile.BadZipFile,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise DamagedError(str(error)) from error

    def _traits(self, packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> Traits:
        mode = info.external_attr >> 16
        if info.is_dir():
            return Traits(kind="folder", mode=stat.S_IMODE(mode))
        if stat.S_ISLNK(mode):
            return Traits(kind="link", mode=stat.S_IMODE(mode), content=os.fsdecode(packed.read(info)))
        with packed.open(info) as source:
            return Traits(kind="file", mode=stat.S_IMODE(mode), content=_digest(source))


def _digest(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while data := stream.read(CHUNK):
        digest.update(data)
    return digest.hexdigest()
