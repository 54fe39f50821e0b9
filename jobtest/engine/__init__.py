"""What does: the loop that carries out the scheduler's commands, the clock, and the executors that call bodies."""
