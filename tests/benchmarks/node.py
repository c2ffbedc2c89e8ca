"""The packages of Node that take part, installed into a folder of their own."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("BOTTENDER", "NodeMissingError", "install")

BOTTENDER: Final = "1.5.5"

_INSTALL: Final = ("install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
_PATIENCE: Final = 600


class NodeMissingError(Exception):
    """Raised when the packages cannot be had; says why."""


def install(folder: Path) -> Path:
    """Install what is not there yet, and return where the packages are.

    Raises:
        NodeMissingError: there is no `node` or no `npm`, or it cannot install them.
    """
    modules = folder / "node_modules"
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        raise NodeMissingError("there is no node or no npm on this computer")
    if (modules / "bottender" / "package.json").exists():
        return modules
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    try:
        subprocess.run(
            [npm, *_INSTALL, f"bottender@{BOTTENDER}"], cwd=folder, check=True, capture_output=True, timeout=_PATIENCE
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise NodeMissingError(f"npm could not install bottender@{BOTTENDER} ({type(error).__name__})") from error
    return modules
