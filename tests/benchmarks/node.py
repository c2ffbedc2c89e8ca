"""The packages of Node that take part, installed into a folder of their own."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from tests.benchmarks.workers import ContenderFailedError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("BOTTENDER", "NodePackages")

BOTTENDER: Final = "1.5.5"

_INSTALL: Final = ("install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
_PATIENCE: Final = 600


class NodePackages:
    """What a contender on Node needs.

    Args:
        folder: where to keep it; what is there already is used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._modules = self._folder / "node_modules"
        self._why_not = self._install()

    def modules(self) -> Path:
        """Return the folder where the packages are.

        Raises:
            ContenderFailedError: there is no `node` or no `npm`, or it could not install them.
        """
        if self._why_not:
            raise ContenderFailedError(self._why_not)
        return self._modules

    def _install(self) -> str:
        npm = shutil.which("npm")
        if shutil.which("node") is None or npm is None:
            return "there is no node or no npm on this computer"
        if (self._modules / "bottender" / "package.json").exists():
            return ""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        command = [npm, *_INSTALL, f"bottender@{BOTTENDER}"]
        try:
            subprocess.run(command, cwd=self._folder, check=True, capture_output=True, timeout=_PATIENCE)
        except (subprocess.SubprocessError, OSError) as error:
            return f"npm could not install bottender@{BOTTENDER} ({type(error).__name__})"
        return ""
