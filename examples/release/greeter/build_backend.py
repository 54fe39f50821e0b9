"""A build backend (PEP 517) that needs nothing but the standard library, so that the example works offline.

A wheel is a zip file with the package and a folder of metadata (PEP 427). The version comes with the build:
`pip wheel --config-settings version=1.4 .`. The same sources and version give the same bytes.
"""

import base64
import csv
import hashlib
import io
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent


def build_wheel(
    wheel_directory: str,
    config_settings: Mapping[str, str] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the wheel; return its file name."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name = project["name"]
    version = (config_settings or {}).get("version", "0")
    files = {path.relative_to(HERE / "src").as_posix(): path.read_bytes() for path in sources(name)}
    for file, text in metadata(project, version).items():
        files[f"{name}-{version}.dist-info/{file}"] = text.encode()
    record = f"{name}-{version}.dist-info/RECORD"
    files[record] = recorded(files, record).encode()

    wheel = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for file, content in files.items():
            archive.writestr(zipfile.ZipInfo(file), content, zipfile.ZIP_DEFLATED)  # dated 1980, always
    return wheel


def sources(name: str) -> list[Path]:
    """The modules of the package, in a fixed order."""
    return sorted((HERE / "src" / name).rglob("*.py"))


def metadata(project: Mapping, version: str) -> dict[str, str]:
    """The files of the dist-info folder, except for RECORD."""
    scripts = "".join(f"{script} = {target}\n" for script, target in project["scripts"].items())
    return {
        "METADATA": (
            "Metadata-Version: 2.1\n"
            f"Name: {project['name']}\n"
            f"Version: {version}\n"
            f"Summary: {project['description']}\n"
            f"Requires-Python: {project['requires-python']}\n"
        ),
        "WHEEL": "Wheel-Version: 1.0\nGenerator: build_backend\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": f"[console_scripts]\n{scripts}",
    }


def recorded(files: Mapping[str, bytes], record: str) -> str:
    """The lines of RECORD: each file with its hash and size, and RECORD itself without."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    for file, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow([file, f"sha256={digest}", len(content)])
    writer.writerow([record, "", ""])
    return lines.getvalue()
