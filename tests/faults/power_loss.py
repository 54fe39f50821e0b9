"""What may be left of a folder when the power fails, made from the log of all writes and syncs of real runs.

A write, a truncation, a new name, a removed name: each is only certain to be there after a sync of its file,
or of its folder. Before that the image of a disk may have it or not, in any order within a file, and of a
write any of its sectors. Names in one folder come in order, as journalling file systems have it.

What lives here: the log of strace as calls, `Disk`. What a state must be then is `test_power_loss`.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "openat,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat"
)
SECTOR = 512

STRACE = ("strace", "-f", "-A", "-qq", "--seccomp-bpf", "-ttt", "-y", "-s", "1000000", "-xx")
"""Add `-o FILE`; the log grows from run to run."""

_LINE = re.compile(r"^(?P<pid>\d+) (?P<at>[\d.]+) (?P<rest>.*)$")
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
        result: What it returned.
    """

    name: str
    args: str
    at: float
    ended: bool
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
        pid, at, rest = found["pid"], float(found["at"]), found["rest"]
        if begun := _BEGUN.match(rest):
            under_way[pid] = begun["args"]
            yield Call(begun["name"], begun["args"], at, ended=False)
        elif ended := _ENDED.match(rest):
            args = under_way.pop(pid) + ended["args"]
            yield Call(ended["name"], args, at, ended=True, result=int(ended["result"]))
        elif whole := _WHOLE.match(rest):
            yield Call(whole["name"], whole["args"], at, ended=False)
            yield Call(whole["name"], whole["args"], at, ended=True, result=int(whole["result"]))


@dataclass(slots=True)
class File:
    """A file, as it is on the disk for certain, and what was done to it since."""

    certain: bytearray = field(default_factory=bytearray)
    since: list = field(default_factory=list)
    size: int = 0

    def sync(self, number):
        """Make what was done certain, as far as it was done when the sync began."""
        for change in self.since[:number]:
            _apply(self.certain, *change)
        del self.since[:number]

    def image(self, rng):
        """Return what may be found after a power cut."""
        found = bytearray(self.certain)
        how, many = rng.choice(("none", "all", "some", "any")), rng.randint(0, len(self.since))
        for number, (offset, data) in enumerate(self.since):
            if how == "all" or (how == "some" and number < many) or (how == "any" and rng.random() < 0.6):
                _apply(found, offset, data)
            elif how == "any" and data is not None:
                for start in range(0, len(data), SECTOR):
                    if rng.random() < 0.3:
                        _apply(found, offset + start, data[start : start + SECTOR])
        return bytes(found)


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
        for changes in self._names.values():
            for change in changes[: rng.randint(0, len(changes))]:
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
        self._names.setdefault(folder, []).append(change)

    def _openat(self, call):
        path = self._below(call.texts[0].decode())
        if path is None:
            return
        self._places[call.result] = 0
        if path not in self._now or self._now[path] is None:
            if "O_CREAT" in call.args:
                self._name(path.parent, {path: File()})
        if "O_TRUNC" in call.args:
            self._change(self._now[path], 0, None)

    def _file(self, call):
        path = self._below(call.path)
        return self._now.get(path) if path is not None else None

    @staticmethod
    def _change(file, offset, data):
        file.since.append((offset, data))
        file.size = offset if data is None else max(file.size, offset + len(data))

    def _pwrite64(self, call):
        file = self._file(call)
        if file is not None:
            self._change(file, call.last_number, call.texts[-1][: call.result])

    def _write(self, call):
        file = self._file(call)
        if file is not None:
            at = self._places[call.fd]
            self._change(file, at, call.texts[-1][: call.result])
            self._places[call.fd] = at + call.result

    def _ftruncate(self, call):
        file = self._file(call)
        if file is not None:
            self._change(file, call.last_number, None)

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
        if self._lies:
            return
        path = Path(call.path)
        what = self._names.get(path) if path in self._names else self._file(call)
        if what is None:
            return
        changes = what.since if isinstance(what, File) else what
        if not call.ended:
            self._syncing[call.args] = len(changes)
        elif call.result == 0:
            number = self._syncing.pop(call.args)
            if isinstance(what, File):
                what.sync(number)
            else:
                for change in changes[:number]:
                    self._certain.update(change)
                del changes[:number]
