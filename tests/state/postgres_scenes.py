"""Stores on the server of the tests, and what befalls them."""

import threading
import time
import weakref

import pytest
from server import server
from stores import ME

from jobtest.state.postgres import PostgresStore


@pytest.fixture(name="pg")
def fresh_server():
    """The server, with an empty state in it."""
    server().empty()
    return server()


def store_at(url, **options):
    """Return a store that need not be closed if it only reads."""
    store = PostgresStore(url, **options)
    weakref.finalize(store, store._link.close)
    return store


def opened(url, **options):
    """Return a store that is owned, and whose lease is not renewed while a test lasts."""
    store = store_at(url, **{"lease": 3000.0, **options})
    store.own(ME)
    return store


def expire(pg):
    """Let the time of whatever lease there is be over."""
    pg.rows("UPDATE jobtest.lease SET expires = '-infinity'")


def until(condition):
    """Wait for something that other threads or processes do."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def waiting(pg):
    """Tell whether a session waits for another one."""
    return bool(pg.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))


def in_thread(function):
    """Call a function in a thread; return what waits for its end and raises what it raised."""
    raised = []

    def call():
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            raised.append(error)

    def join():
        thread.join(60)
        assert not thread.is_alive()
        for error in raised:
            raise error

    thread = threading.Thread(target=call)
    thread.start()
    return join
