"""Names of one instance's files and entries: several instances can use one checkout."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.components import registry

LAUNCH, TASKS = ".vscode/launch.json", ".vscode/tasks.json"
LISTS = {LAUNCH: ("configurations", "compounds"), TASKS: ("tasks",)}
"""The lists with the tool's entries, by file that may belong to the user."""
EMPTY = {LAUNCH: '{\n    "version": "0.2.0"\n}\n', TASKS: '{\n    "version": "2.0.0"\n}\n'}
VERBS = ("debug", "undebug")
"""The tasks that an editor runs."""


@dataclass(frozen=True)
class Naming:
    """The names of an instance. No instance's name contains "@": no two names are the same."""

    instance: str = "default"

    @property
    def word(self) -> str:
        """Return the first word of each name."""
        return "stepkube" if self.instance == "default" else f"stepkube@{self.instance}"

    @property
    def prefix(self) -> str:
        """Return the start of each entry's name."""
        return f"{self.word}: "

    def suffix(self, port: int) -> str:
        """Return the end of the name of an entry with this port."""
        return "" if self.instance == "default" else f" (port {port})"

    @property
    def snippet(self) -> str:
        """Return the path of the Lua code for nvim-dap."""
        return f".nvim-dap.{self.word}.lua"

    @property
    def goland(self) -> dict[str, str]:
        """Return the paths of GoLand's files by their titles without the first word."""
        names = registry.debug_offsets()
        commands = (f"{verb} {name}" for name in names for verb in VERBS)
        return {title: f".run/{self.word} {title}.run.xml" for title in (*names, *commands, "all")}

    @property
    def tool_files(self) -> tuple[str, ...]:
        """Return the files in the tree that belong to the tool."""
        return (self.snippet, *self.goland.values())
