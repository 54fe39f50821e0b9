"""A state as a folder of text files: JSON lines, to be read with any tool."""

from jobtest.state.file.store import FileStore

__all__ = ["FileStore"]
