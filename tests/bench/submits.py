"""Submits so many tasks that do nothing to a Dask cluster, and gathers their results.

submits.py ADDRESS TASKS [AT_ONCE]
"""

import sys

from distributed import Client, as_completed


def nothing():
    """Do nothing."""


def all_at_once(client, tasks):
    """Submit all, then wait."""
    return len(client.gather([client.submit(nothing, pure=False) for _ in range(tasks)]))


def some_at_once(client, tasks, at_once):
    """Submit the next one when one has ended, as a run does whose jobs are held back by -J."""
    ended = as_completed([client.submit(nothing, pure=False) for _ in range(at_once)], with_results=True)
    done = 0
    for done, _ in enumerate(ended, 1):
        if done + at_once <= tasks:
            ended.add(client.submit(nothing, pure=False))
    return done


if __name__ == "__main__":
    with Client(f"tcp://{sys.argv[1]}") as client:
        tasks, at_once = (*map(int, sys.argv[2:]), 0)[:2]
        done = some_at_once(client, tasks, min(at_once, tasks)) if at_once else all_at_once(client, tasks)
        print(f"{done} submitted")
