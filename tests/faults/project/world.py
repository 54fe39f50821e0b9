"""What the bodies of this project do to the world, and the ledger in which they say so.

A line of the ledger is `life, job, attempt, phase, what`, with tabs: which of the runs, as the environment
counts them, and `begin`, `end`, `failed`, `needed`, `holds`, `refused`. It is written with one call, so that
what is in it has happened, however its writer dies.

A place is a job, a phase and where in it. Variables of the environment name one: at `FAULT=merge run middle`
the run is killed, at `WAIT` it makes the file `waiting` and waits for the file `go`, at `FORK` it forks a
child that stays.
"""

import os
import signal
import time
from pathlib import Path

HERE = Path(__file__).parent
WORLD, BUSY = HERE / "world", HERE / "busy"
LIFE = os.environ.get("LIFE", "0")
FAULT, WAIT, FORK = (os.environ.get(name, "") for name in ("FAULT", "WAIT", "FORK"))
PAUSE = 0.002
"""Seconds in the middle of a run phase, so that kills hit it."""

WORLD.mkdir(exist_ok=True)
BUSY.mkdir(exist_ok=True)
LEDGER = os.open(HERE / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def note(*words):
    os.write(LEDGER, ("\t".join(map(str, (LIFE, *words))) + "\n").encode())


def fault(*where):
    place = " ".join(where)
    if place == FAULT:
        os.kill(os.getpid(), signal.SIGKILL)
    if place == WAIT:
        (HERE / "waiting").touch()
        while not (HERE / "go").exists():
            time.sleep(0.005)
    if place == FORK:
        fork()


def fork():
    pid = os.fork()
    if not pid:
        time.sleep(60)
        os._exit(0)
    (HERE / "forked").write_text(str(pid))


def there(name):
    return (WORLD / name).exists()


def put(name, text=""):
    new = WORLD / f"{name}.tmp"
    new.write_text(text)
    new.rename(WORLD / name)


class Busy:
    """Held while a run phase is under way; it says so if another one of the same job lives."""

    def __init__(self, act):
        self.act, self.path = act, BUSY / act.job

    def __enter__(self):
        if not self._take() and not self._is_left_by_a_dead_one():
            self.act.note("overlap")
            raise RuntimeError("two at once")

    def _take(self):
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        os.write(fd, str(os.getpid()).encode())
        os.close(fd)
        return True

    def _is_left_by_a_dead_one(self):
        text = self.path.read_text()
        if text and text != str(os.getpid()) and Path("/proc", text).exists():
            return False
        self.path.unlink()
        return self._take()

    def __exit__(self, *_):
        self.path.unlink()


class Act:
    """What the phases of one job do."""

    def __init__(self, job, attempt):
        self.job, self.attempt = job, attempt

    def note(self, what):
        note(self.job, self.attempt.number, self.attempt.phase, what)

    def fault(self, place):
        fault(self.job, self.attempt.phase, place)

    def check(self):
        self.note("begin")
        self.fault("begin")
        holds = there(self.job)
        self.fault("middle")
        self.note("holds" if holds else "needed")
        self.fault("end")
        return holds

    def run(self, value=None, fails=0):
        """Bring the state about; the first `fails` calls raise, in whatever life."""
        self.note("begin")
        self.fault("begin")
        with Busy(self):
            (WORLD / f"{self.job}.tmp").write_text("")
            time.sleep(PAUSE)
            self.fault("middle")
            if self._tries() <= fails:
                self.note("failed")
                raise OSError("not yet")
            put(self.job)
        self.fault("end")
        self.note("end")
        return value

    def _tries(self):
        name = f"{self.job}.tries"
        tries = 1 + (int((WORLD / name).read_text()) if there(name) else 0)
        put(name, str(tries))
        return tries

    def clean(self):
        self.note("begin")
        self.fault("begin")
        self.fault("middle")
        put(f"{self.job}.clean")
        self.fault("end")
        self.note("end")

    def describe(self, value):
        self.note("begin")
        self.fault("begin")
        self.fault("middle")
        self.fault("end")
        self.note("end")
        return value
