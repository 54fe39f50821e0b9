"""Who imports whom: reads the source of a package with `ast`, without importing it."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

PACKAGES = [
    "asyncio",
    "collections",
    "concurrent",
    "email",
    "http",
    "importlib",
    "json",
    "logging",
    "multiprocessing",
    "unittest",
    "urllib",
    "xml",
]
SKIP = ["test", "tests"]


def sources(library: Path, package: str, skip: list[str]) -> list[Path]:
    """All Python files of a package in a fixed order, without the folders named in `skip`."""
    files = (library / package).rglob("*.py")
    return sorted(file for file in files if not set(file.relative_to(library).parts) & set(skip))


def fingerprint(library: Path, package: str, skip: list[str]) -> str:
    """A hash of the names and contents of all files of the package."""
    digest = hashlib.sha256()
    for file in sources(library, package, skip):
        digest.update(f"{file.relative_to(library)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def scan(library: Path, package: str, skip: list[str]) -> dict[str, list[str]]:
    """Module name to the names of the modules that it imports, anywhere in its source."""
    result = {}
    for file in sources(library, package, skip):
        parts = file.relative_to(library).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        parent = module if is_package else module.rpartition(".")[0]
        result[module] = sorted(set(imports(ast.parse(file.read_bytes()), parent)))
    return result


def imports(tree: ast.AST, parent: str) -> Iterator[str]:
    """The modules named by the import statements of a tree; relative ones start from `parent`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
        elif isinstance(node, ast.ImportFrom):
            base = parent.rsplit(".", node.level - 1)[0]
            if node.module:
                yield f"{base}.{node.module}"
            else:  # from . import a, b
                yield from (f"{base}.{alias.name}" for alias in node.names)
