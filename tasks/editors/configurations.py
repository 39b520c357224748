"""Pure builders of the debug configurations of VS Code, GoLand and Neovim, one per debug port."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from tasks.components import registry
from tasks.settings.templates import render

EDITORS = {"vscode": "VS Code", "goland": "GoLand", "nvim": "Neovim with nvim-dap"}
PREFIX = "stepkube: "
LAUNCH = ".vscode/launch.json"
LISTS = ("configurations", "compounds")
NEW_LAUNCH = '{\n    "version": "0.2.0"\n}\n'
SNIPPET = ".nvim-dap.stepkube.lua"
GOLAND = {name: f".run/stepkube {name}.run.xml" for name in (*registry.debug_offsets(), "all")}
TOOL_FILES = (SNIPPET, *GOLAND.values())
"""Files in the tree that belong to this tool; launch.json may be the user's."""
STAGING, VENDOR = "staging/src/k8s.io", "vendor/k8s.io"


@dataclass(frozen=True)
class View:
    """The data of the configurations: host, debug ports, path mapping."""

    host: str
    ports: Mapping[str, int]
    """The debug port by component."""
    rules: tuple[tuple[str, str], ...]
    """Pairs of a path in the editor and the path in the binary; the first matching rule counts."""

    @property
    def is_local(self) -> bool:
        """Return whether the host is the editor's machine, where a tunnel may end."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def rules(
    local: PurePath, binary: PurePosixPath, vendored: tuple[str, ...] | None
) -> tuple[tuple[str, str], ...]:
    """Return the rules that map the editor's paths to those that the compiler wrote.

    Up to 1.29, vendor/k8s.io has links to the staging modules, and the binaries contain the paths
    of the links. `vendored` names the real folders next to the links, None means no links.
    """
    found: list[tuple[PurePath, PurePath]] = []
    if vendored is not None:
        found += [(local / VENDOR / name, binary / VENDOR / name) for name in vendored]
        found.append((local / STAGING, binary / VENDOR))
    if str(local) != str(binary):
        found.append((local, binary))
    return tuple((str(editor_path), str(binary_path)) for editor_path, binary_path in found)


def launch(view: View) -> dict[str, list[dict[str, Any]]]:
    """Return the tool's entries of launch.json by list (see LISTS)."""
    mapping = [{"from": editor, "to": binary} for editor, binary in view.rules]
    entries = [
        {
            "name": f"{PREFIX}debug {name}",
            "type": "go",
            "debugAdapter": "dlv-dap",
            "request": "attach",
            "mode": "remote",
            "host": view.host,
            "port": port,
            "stopOnEntry": False,
            **({"substitutePath": mapping} if mapping else {}),
        }
        for name, port in view.ports.items()
    ]
    names = [entry["name"] for entry in entries]
    compound = {"name": f"{PREFIX}debug all", "configurations": names, "stopAll": False}
    return {"configurations": entries, "compounds": [compound]}


def goland(view: View) -> dict[str, str]:
    """Return the text of GoLand's run configurations by path in the tree."""
    host = "" if view.is_local else view.host
    texts = {
        GOLAND[name]: render(
            "goland-remote.run.xml.j2", title=f"stepkube {name}", host=host, port=port
        )
        for name, port in view.ports.items()
    }
    parts = [f"stepkube {name}" for name in view.ports]
    compound = render("goland-compound.run.xml.j2", title="stepkube all", parts=parts)
    return {**texts, GOLAND["all"]: compound}


def snippet(view: View) -> str:
    """Return the Lua code that adds the tool's configurations to nvim-dap."""
    rules = view.rules
    return render("nvim-dap.lua.j2", host=view.host, ports=view.ports, rules=rules, prefix=PREFIX)


def with_patterns(text: str, tree: Path, patterns: Iterable[str]) -> str:
    """Return git's exclude file with these patterns at the top, in the tool's block for a tree.

    Worktrees share the file, so each has a separate block. Without patterns there is no block.
    """
    begin, end = (f"# stepkube ide {json.dumps(str(tree))}: {edge}\n" for edge in ("begin", "end"))
    rest = re.sub(f"^{re.escape(begin)}(.*\n)*?{re.escape(end)}", "", text, flags=re.MULTILINE)
    lines = "".join(f"{pattern}\n" for pattern in patterns)
    return f"{begin}{lines}{end}{rest}" if lines else rest
