"""The lane to a Dask cluster: phases as JSON text go there, answers as JSON text come back.

What lives where: `lane` decides which worker gets what (no `distributed` in it); `cluster` speaks with the
scheduler; `room` and `host` are what goes on in a worker; `sources` brings code there; `preflight` asks all
workers before anything runs. Nothing of the user's project is pickled: what Dask is given are functions of
the installed jobtest with text as their argument.
"""
