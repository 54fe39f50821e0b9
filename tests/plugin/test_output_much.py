"""Very much output: its beginning and its end are kept, and the memory does not grow with it."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.plugin import streams
from jobtest.plugin.streams import KEPT, Sink, shortened

pytestmark = pytest.mark.rarely

PIECES = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.text(max_size=40)), max_size=60)


def a_sink():
    return Sink("job_it.py::job_a", "job_a", 1, None, keeps=True)


@pytest.fixture
def little(monkeypatch):
    """Keep 64 characters of a stream, and few pieces."""
    monkeypatch.setattr(streams, "KEPT", 64)
    monkeypatch.setattr(streams, "PIECES", 5)


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("binary", [False, True])
def test_all_that_fits_is_kept_and_of_the_rest_beginning_and_end(binary):
    @given(PIECES)
    def check(pieces):
        sink = a_sink()
        for name, piece in pieces:
            assert sink.write(name, piece.encode() if binary and piece.isascii() else piece)
        kept = sink.close()
        for name in ("stdout", "stderr"):
            whole = "".join(piece for one, piece in pieces if one == name)
            if len(whole.encode()) <= 64:
                assert kept.get(name, "") == whole
            elif not binary and len(whole) > 64:
                middle = f"\n[{len(whole) - 64} characters are left out here]\n"
                assert kept[name] == whole[:32] + middle + whole[-32:]
            else:
                assert len(kept[name]) <= len(whole.encode()) + 50

    check()


def test_a_sink_that_is_closed_takes_nothing():
    sink = a_sink()
    assert sink.write("stdout", "one")
    assert sink.close() == {"stdout": "one"}
    assert not sink.write("stdout", "two")


def test_a_text_is_cut_only_if_it_is_very_long():
    assert shortened("x" * KEPT) == "x" * KEPT
    assert shortened("x" * (KEPT + 3)) == (
        f"{'x' * (KEPT // 2)}\n[3 characters are left out here]\n{'x' * (KEPT // 2)}"
    )


MUCH = {
    "many lines": lambda: (f"{n:999}\n" for n in range(30_000)),
    "one line": lambda: ("x" * size for size in (30_000_000,)),
    "bytes": lambda: (b"%9999d" % n for n in range(3_000)),
    "few characters at once": lambda: (f"{n:9}" for n in range(150_000)),
}


@pytest.mark.parametrize("what", MUCH)
def test_the_memory_does_not_grow_with_what_is_printed(what):
    sink = a_sink()
    tracemalloc.start()
    try:
        for piece in MUCH[what]():
            sink.write("stdout", piece)
        del piece
        held = tracemalloc.get_traced_memory()[0]
        kept = sink.close()["stdout"]
    finally:
        tracemalloc.stop()
    assert held < 4 * KEPT
    assert KEPT < len(kept) < KEPT + 100


@pytest.mark.parametrize("workers", ["-J1", "-J2"])
def test_of_very_much_beginning_and_end_are_in_the_reports(jobs, workers):
    run = jobs(
        f"""
        import logging
        def job_a():
            print("begins")
            for _ in range(3):
                print("x" * {KEPT})
            print("ends")
            for n in range(30):
                logging.warning("%s %s", n, "y" * {KEPT // 10})
            assert 0
        """,
        workers,
        "--show-capture=no",
    )
    attempt = run.jobs["a"].attempts[0]
    assert attempt.stdout.startswith("begins\nxxx")
    assert attempt.stdout.endswith("xxx\nends\n")
    assert f"\n[{2 * KEPT + 15} characters are left out here]\n" in attempt.stdout
    assert len(attempt.log) < KEPT + 100
    assert " 0 yyy" in attempt.log
    assert " 29 yyy" in attempt.log
