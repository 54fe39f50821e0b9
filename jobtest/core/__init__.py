"""What decides: plain data and pure functions.

Nothing here knows pytest, a disk, a clock, a thread or chance; whatever of these a decision needs is a
parameter.
"""
