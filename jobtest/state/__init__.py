"""What remembers: the store protocol and the stores behind it."""
