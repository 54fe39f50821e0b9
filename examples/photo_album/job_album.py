"""Thumbnails of photos that strangers have sent, and an album of those that could be made.

What opens such files crashes, hangs and eats memory. Each thumbnail is made in a process of its own, in at
most a second and 256 MB; whatever becomes of it, the album is made of the others.
"""

import ctypes
import time
from pathlib import Path

import pytest

ALBUM = Path("work/album.html")
PHOTOS = ("beach.jpg", "party.jpg", "broken.jpg", "bomb.png", "endless.tif")


def thumbnail_of(photo: str) -> Path:
    """The file that is made of a photo."""
    return Path("work", photo).with_suffix(".thumb")


def decode(photo: str) -> str:
    """Stand in for a library in C, with its faults."""
    if photo == "broken.jpg":
        ctypes.string_at(0)  # reads where nothing is: a segmentation fault
    if photo == "bomb.png":
        return "x" * (1 << 40)  # a terabyte of pixels
    if photo == "endless.tif":
        time.sleep(3600)
    return f"<{photo}>"


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.job(timeout=1, memory="256M", on_failure="continue")
def job_thumbnail(photo):
    """Make a thumbnail."""
    Path("work").mkdir(exist_ok=True)
    thumbnail_of(photo).write_text(decode(photo))


@pytest.mark.job(needs=["thumbnail"], always=True)
def job_album():
    """Make a page of the thumbnails that are there."""
    there = [photo for photo in PHOTOS if thumbnail_of(photo).exists()]
    ALBUM.write_text("\n".join(f"<img src={photo!r}>" for photo in there))
    return there
