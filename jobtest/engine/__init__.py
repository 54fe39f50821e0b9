"""What does: the loop that carries out commands, the clock, and the executors that call bodies."""
