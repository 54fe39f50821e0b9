"""Syncing in groups."""

import threading

import pytest

from jobtest.state.sync import GroupSync

LONG = 60.0
"""Seconds that nothing here may take; only a failing test does."""


class Disk:
    """What is synced, and when it is let to go on."""

    def __init__(self, error=None):
        self.synced = 0
        self.error = error
        self.done = threading.Event()
        self.threads = []

    def sync(self):
        self.synced += 1
        self.threads.append(threading.current_thread())
        if self.error is not None:
            self.done.set()
            raise self.error
        self.done.set()


def test_soon_syncs_once_for_all_who_asked_meanwhile():
    disk = Disk()
    group = GroupSync(disk.sync, delay=0.02)
    for _ in range(100):
        group.soon()
    assert disk.done.wait(LONG)
    disk.done.clear()
    group.soon()
    assert disk.done.wait(LONG)
    group.close()

    assert 2 <= disk.synced <= 5
    assert threading.main_thread() not in disk.threads


def test_soon_does_not_wait_and_close_does_not_either():
    disk = Disk()
    group = GroupSync(disk.sync, delay=LONG)
    group.soon()
    assert not disk.done.wait(0.02)
    group.close()
    assert disk.synced == 1


def test_now_has_synced_when_it_returns_and_nothing_is_left_to_do():
    disk = Disk()
    group = GroupSync(disk.sync, delay=LONG)
    group.soon()
    group.now()
    group.now()
    assert disk.synced == 2
    group.close()
    group.close()
    assert disk.synced == 2


def test_what_nobody_asked_for_is_not_done():
    disk = Disk()
    GroupSync(disk.sync).close()
    assert disk.synced == 0


def test_the_thread_ends_with_close():
    before = threading.active_count()
    group = GroupSync(Disk().sync)
    group.soon()
    assert threading.active_count() == before + 1
    group.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), RuntimeError("odd")])
def test_an_error_on_the_thread_is_raised_by_whoever_comes_next_and_after(error):
    disk = Disk(error)
    group = GroupSync(disk.sync, delay=0.0)
    group.soon()
    assert disk.done.wait(LONG)
    group._thread.join(0.01)

    for use in (group.now, group.soon, group.now, group.close):
        with pytest.raises(OSError, match=str(error.args[-1])):
            use()
    group.close()
    assert disk.synced == 1


def test_an_error_of_now_is_raised_at_once():
    group = GroupSync(Disk(OSError(28, "No space left on device")).sync)
    with pytest.raises(OSError, match="No space left"):
        group.now()


def test_two_syncs_are_never_under_way_at_once():
    under_way, most = [0], [0]
    lock, began, go_on = threading.Lock(), threading.Event(), threading.Event()

    def sync():
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        began.set()
        assert go_on.wait(LONG)
        with lock:
            under_way[0] -= 1

    group = GroupSync(sync, delay=0.0)
    group.soon()
    assert began.wait(LONG)
    second = threading.Thread(target=group.now)
    second.start()
    second.join(0.01)
    go_on.set()
    second.join(LONG)
    group.close()
    assert most == [1]
