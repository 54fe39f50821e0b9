"""Says hello."""

import argparse
from importlib.metadata import version


def main() -> None:
    """The command `greeter`."""
    parser = argparse.ArgumentParser(prog="greeter", description="Say hello.")
    parser.add_argument("name", nargs="?", default="world", help="whom to greet")
    parser.add_argument("--version", action="version", version=f"greeter {version('greeter')}")
    print(f"Hello, {parser.parse_args().name}!")
