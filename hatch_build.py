"""Build hook of hatchling: refuses a checkout whose links are text files, from which it would build a package without code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LINKS = ("backends", "harness", "reports")


class LinksHook(BuildHookInterface[Any]):
    """Runs before the files of a wheel or of an editable install are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Abort with one line where a link in lstm_parity/ is not a folder."""
        for name in LINKS:
            if not Path(self.root, "lstm_parity", name).is_dir():
                self.app.abort(
                    f"lstm_parity/{name} is not a link to ../{name}: this clone was made without symbolic links; "
                    "run `git config core.symlinks true` and `git checkout -- lstm_parity`, then build again"
                )
