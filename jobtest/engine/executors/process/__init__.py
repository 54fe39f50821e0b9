"""Bodies in processes of their own, that can be killed with all that they have started.

`warden.py` is the helper that forks them, `lane.py` what the executor knows of it, `child.py` what goes on in
them, `tree.py` and `frames.py` serve all three.
"""
