"""What may be left of a folder when the power fails, made from the log of all writes and syncs of real runs.

A write, a truncation, a new name, a removed name: each is only certain to be there after a sync of its file,
or of its folder. Before that the image of a disk may have it or not, in any order within a file, and of a
write any of its sectors. Names in one folder come in order, as journalling file systems have it.

What lives here: the log of strace as calls, `Disk`. What a state must be then is `test_power_loss`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    "openat,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat"
)
SECTOR = 512

STRACE = ("strace", "-f", "-A", "-qq", "--seccomp-bpf", "-ttt", "-y", "-s", "1000000", "-xx")
"""Add `-o FILE`; the log grows from run to run."""

_LINE = re.compile(r"^(?P<pid>\d+) +(?P<at>[\d.]+) (?P<rest>.*)$")
_WHOLE = re.compile(r"^(?P<name>\w+)\((?P<args>.*)\)\s+= (?P<result>-?\d+)")
_BEGUN = re.compile(r"^(?P<name>\w+)\((?P<args>.*?),? *<unfinished \.\.\.>$")
_ENDED = re.compile(r"^<\.\.\. (?P<name>\w+) resumed>(?P<args>.*)\)\s+= (?P<result>-?\d+)")
_FD = re.compile(r"^(\d+)<((?:\\x[0-9a-f]{2})*)>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One call that went well.

    Attributes:
        name: Of the call.
        args: As strace shows them.
        at: When it was seen to begin, in seconds.
        ended: Whether this tells its end; its beginning is told too.
        thread: Who made it.
        result: What it returned.
    """

    name: str
    args: str
    at: float
    ended: bool
    thread: str
    result: int = 0

    @property
    def fd(self):
        return int(_FD.match(self.args)[1])

    @property
    def path(self):
        """The path behind its file descriptor."""
        return _decoded(_FD.match(self.args)[2]).decode()

    @property
    def texts(self):
        return [_decoded(one) for one in _TEXT.findall(self.args)]

    @property
    def last_number(self):
        return int(self.args.rpartition(",")[2])


def _decoded(text):
    return bytes.fromhex(text.replace("\\x", ""))


def calls(log):
    """Return the beginnings and ends of the calls of a log, those that went wrong left out."""
    under_way = {}
    for line in log.splitlines():
        found = _LINE.match(line)
        thread, at, rest = found["pid"], float(found["at"]), found["rest"]
        if begun := _BEGUN.match(rest):
            under_way[thread] = begun["args"]
            yield Call(begun["name"], begun["args"], at, False, thread)
        elif ended := _ENDED.match(rest):
            args = under_way.pop(thread) + ended["args"]
            yield Call(ended["name"], args, at, True, thread, int(ended["result"]))
        elif whole := _WHOLE.match(rest):
            yield Call(whole["name"], whole["args"], at, False, thread)
            yield Call(whole["name"], whole["args"], at, True, thread, int(whole["result"]))


class Pending:
    """Changes of a file or a folder, of which the first ones are certain to be on the disk.

    Attributes:
        since: Those that are not certain.
    """

    def __init__(self):
        self.since = []
        self._synced = 0

    @property
    def number(self):
        """How many changes there were."""
        return self._synced + len(self.since)

    def sync(self, number):
        """Make the first so many changes certain; return those that were not before."""
        new = max(0, number - self._synced)
        found, self.since = self.since[:new], self.since[new:]
        self._synced += new
        return found


class File(Pending):
    """A file, with what of its content is certain.

    Attributes:
        size: Its bytes for those who use it.
        grows: It was opened for appending. What makes a file longer is there from its beginning on: file
            systems write data before sizes.
    """

    def __init__(self):
        super().__init__()
        self.size, self.grows = 0, False
        self._certain = bytearray()

    def change(self, offset, data):
        """Take in that data was written at an offset, or that it was cut off there."""
        self.since.append((offset, data))
        self.size = offset if data is None else max(self.size, offset + len(data))

    def sync(self, number):
        found = super().sync(number)
        for change in found:
            _apply(self._certain, *change)
        return found

    def image(self, rng):
        """Return what may be found after a power cut."""
        found = bytearray(self._certain)
        how = rng.choice(("none", "all", "some", "some" if self.grows else "any"))
        if how == "any":
            self._scatter(found, rng)
            return bytes(found)
        many = {"none": 0, "all": len(self.since), "some": rng.randint(0, len(self.since))}[how]
        for change in self.since[:many]:
            _apply(found, *change)
        for offset, data in self.since[many : many + 1] if self.grows and how == "some" else ():
            _apply(found, offset, data and data[: rng.randint(0, len(data))])
        return bytes(found)

    def _scatter(self, found, rng):
        """Take over any changes, and any sectors of others."""
        for offset, data in self.since:
            if rng.random() < 0.6:
                _apply(found, offset, data)
                continue
            for start in range(0, len(data or b""), SECTOR):
                if rng.random() < 0.3:
                    _apply(found, offset + start, data[start : start + SECTOR])


def _apply(content, offset, data):
    """Write data at an offset, or cut off there if there is none."""
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


class Disk:
    """The part of a disk below a folder.

    Args:
        root: The folder; it is there from the beginning.
        lies: Syncs do nothing: to see that this is noticed.
    """

    def __init__(self, root, *, lies=False):
        self.root, self._lies = Path(root), lies
        self._now, self._certain = {}, {}
        self._names = {}
        self._places = {}
        self._syncing = {}

    def take(self, call):
        """Take in a call."""
        if call.name in ("fsync", "fdatasync"):
            self._sync(call)
        elif call.ended and call.result >= 0:
            getattr(self, f"_{call.name}")(call)

    def image(self, rng):
        """Return what may be found after a power cut: the content of files by path below the root."""
        names = dict(self._certain)
        for pending in self._names.values():
            for change in pending.since[: rng.randint(0, len(pending.since))]:
                names.update(change)
        there = {path for path, file in names.items() if file is not None}
        return {
            path.relative_to(self.root): names[path].image(rng)
            for path in sorted(there)
            if isinstance(names[path], File) and self._reached(path, there)
        }

    def _reached(self, path, there):
        above = path.parent
        return above == self.root or (above in there and self._reached(above, there))

    def _below(self, path):
        """Return a path if it is one that matters: what a lock or shared memory holds is gone anyway."""
        path = Path(path)
        if path.name.endswith("-shm") or ".lock" in path.name:
            return None
        return path if path.is_relative_to(self.root) and path != self.root else None

    def _name(self, folder, change):
        self._now.update(change)
        self._names.setdefault(folder, Pending()).since.append(change)

    def _openat(self, call):
        path = self._below(call.texts[0].decode())
        if path is None:
            return
        self._places[call.result] = 0
        if self._now.get(path) is None and "O_CREAT" in call.args:
            self._name(path.parent, {path: File()})
        if "O_APPEND" in call.args:
            self._now[path].grows = True
        if "O_TRUNC" in call.args:
            self._now[path].change(0, None)

    def _file(self, call):
        path = self._below(call.path)
        return self._now.get(path) if path is not None else None

    def _pwrite64(self, call):
        file = self._file(call)
        if file is not None:
            file.change(call.last_number, call.texts[-1][: call.result])

    def _write(self, call):
        file = self._file(call)
        if file is not None:
            at = file.size if file.grows else self._places[call.fd]
            file.change(at, call.texts[-1][: call.result])
            self._places[call.fd] = at + call.result

    def _ftruncate(self, call):
        file = self._file(call)
        if file is not None:
            file.change(call.last_number, None)

    def _mkdir(self, call):
        path = self._below(call.texts[0].decode())
        if path is not None:
            self._name(path.parent, {path: "folder"})

    def _unlink(self, call):
        path = self._below(call.texts[0].decode())
        if path is not None:
            self._name(path.parent, {path: None})

    def _rename(self, call):
        old, new = (self._below(text.decode()) for text in call.texts[:2])
        if old is not None and new is not None:
            self._name(new.parent, {new: self._now[old], old: None})

    _mkdirat, _unlinkat, _renameat, _renameat2 = _mkdir, _unlink, _rename, _rename

    def _sync(self, call):
        """Make certain what was done when the sync began."""
        path = Path(call.path)
        pending = self._names.get(path) or self._file(call)
        if pending is None or self._lies:
            return
        if not call.ended:
            self._syncing[call.thread] = pending.number
        elif call.result == 0:
            synced = pending.sync(self._syncing.pop(call.thread))
            for change in synced if not isinstance(pending, File) else ():
                self._certain.update(change)
