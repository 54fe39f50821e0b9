"""The version of jobtest."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
