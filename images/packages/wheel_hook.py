"""Marks the wheel for its platforms; copied beside the wheel's pyproject.toml."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TagHook(BuildHookInterface):  # type: ignore[misc]
    """Gives the wheel the tag that the configuration names."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Set the tag; called by hatchling before it collects the files."""
        build_data["pure_python"] = False
        build_data["tag"] = self.config["tag"]
