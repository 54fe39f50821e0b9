"""Where bodies are called: on this thread, on threads, or, for a plan, hardly at all."""
