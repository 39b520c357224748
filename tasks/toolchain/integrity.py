"""Integrity of tools: a program that is missing, cut off or changed is made again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.core.errors import Failure
from tasks.kubernetes.tool_record import Tool, goroot_programs, load_tool
from tasks.settings.load import Settings
from tasks.system import sealed
from tasks.toolchain import cni


def damaged_program(settings: Settings, name: str) -> Path | None:
    """Return the first damaged program of a recorded tool; None if all work, or without a record.

    Programs of this machine may change: they must only be complete.
    """
    try:
        tool = load_tool(settings, name)
    except Failure:
        return None
    inside = tool.bin.is_relative_to(settings.paths.toolchain)
    works = sealed.is_intact if inside else sealed.is_complete
    return next((path for path in _programs(tool) if not works(path)), None)


def is_intact(settings: Settings, name: str) -> bool:
    """Return whether a recorded tool works. Raises Failure without a record."""
    load_tool(settings, name)
    return damaged_program(settings, name) is None


def _programs(tool: Tool) -> Iterator[Path]:
    """Yield the programs of a tool."""
    if tool.name == "cni":
        yield from (tool.bin / name for name in cni.PLUGINS)
    elif tool.root is not None:
        yield from goroot_programs(tool.root)
    else:
        yield tool.bin
