"""A nightly backup of a small shop, in a house that lightning likes to strike.

    freeze -> dump[each table] -> archive -> upload -> letter

`LIGHTNING=upload` in the environment kills the run while it uploads, as `kill -9` would.
"""

import filecmp
import os
import shutil
import signal
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

SHOP, NIGHT, ARCHIVE, AWAY = map(Path, ("shop", "work/night", "work/night.tar.gz", "work/away"))
CLOSED, OUTBOX = Path("work/closed"), Path("work/outbox.txt")
PIECES = 4


def lightning(place):
    """Kill this process, if that is where lightning strikes tonight."""
    if os.environ.get("LIGHTNING") == place:
        os.kill(os.getpid(), signal.SIGKILL)


def job_freeze():
    """Close the till: nothing may change while it is copied."""
    NIGHT.mkdir(parents=True, exist_ok=True)
    CLOSED.touch()


def cleanup_freeze():
    CLOSED.unlink(missing_ok=True)  # owed from the moment in which the till is closed, whatever happens


def check_dump(table):
    assert filecmp.cmp(SHOP / f"{table}.csv", NIGHT / f"{table}.csv", shallow=False)


@pytest.mark.job(needs=["freeze"])
@pytest.mark.parametrize("table", ["customers", "orders", "stock"])
def job_dump(table):
    """Copy one table."""
    shutil.copy(SHOP / f"{table}.csv", NIGHT)


@pytest.mark.job(needs=["dump"], inputs=["work/night/*.csv"], outputs=["work/night.tar.gz"])
def job_archive():
    """Pack the tables; its check is that no file is missing and none has changed."""
    unfinished = ARCHIVE.with_suffix(".unfinished")
    with tarfile.open(unfinished, "w:gz") as archive:
        archive.add(NIGHT, NIGHT.name)
    unfinished.replace(ARCHIVE)
    return sha256(ARCHIVE.read_bytes()).hexdigest()


def check_upload(archive):
    assert sha256(b"".join(file.read_bytes() for file in sorted(AWAY.iterdir()))).hexdigest() == archive


def job_upload(archive, checkpoint):
    """Send the archive to another town in pieces; those that have arrived are not sent again."""
    AWAY.mkdir(exist_ok=True)
    content = ARCHIVE.read_bytes()
    size = -(-len(content) // PIECES)
    for number in range(checkpoint.get(archive, 0), PIECES):
        (AWAY / f"{number + 1}.piece").write_bytes(content[number * size : (number + 1) * size])
        checkpoint.set(archive, number + 1)
        print(f"piece {number + 1} of {PIECES} has arrived")
        if number + 1 == PIECES // 2:
            lightning("upload")


@pytest.mark.job(needs=["upload"], on_crash="fail")
def job_letter():
    """Write to the shopkeeper: better no letter than two."""
    with OUTBOX.open("a", encoding="utf-8") as outbox:
        outbox.write("Dear Ms Herschel, your shop is safe in another town.\n")
    lightning("letter")
