"""A cluster of this machine, until its standard input ends: `cluster.py WORKERS [NAME=AMOUNT]`."""

import sys

from distributed import LocalCluster

if __name__ == "__main__":
    offers = dict(one.split("=") for one in sys.argv[2:])
    with LocalCluster(
        n_workers=int(sys.argv[1]),
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        resources={name: float(amount) for name, amount in offers.items()},
    ) as made:
        print(made.scheduler_address.removeprefix("tcp://"), flush=True)
        sys.stdin.read()
