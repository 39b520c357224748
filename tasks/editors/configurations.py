"""What editors want to be told: pure builders of their configurations, one per debug port."""

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
OWN = (SNIPPET, *GOLAND.values())
STAGING, VENDOR = "staging/src/k8s.io", "vendor/k8s.io"


@dataclass(frozen=True)
class View:
    """What an editor must know: the host, a port per component, and paths that differ.

    `rules` are pairs of the editor's path and the binary's; the first that fits counts.
    """

    host: str
    ports: Mapping[str, int]
    rules: tuple[tuple[str, str], ...]

    @property
    def is_local(self) -> bool:
        """Tell whether the host is the editor's own machine, or the end of a tunnel there."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def rules(
    local: PurePath, binary: PurePosixPath, vendored: tuple[str, ...] | None
) -> tuple[tuple[str, str], ...]:
    """Return how the editor's paths become those that the compiler wrote into the binaries.

    Up to 1.29 vendor/k8s.io has links to the staging modules, and the binaries know these by the
    links; `vendored` names the folders beside the links, None means that there are no links.
    """
    found: list[tuple[PurePath, PurePath]] = []
    if vendored is not None:
        found += [(local / VENDOR / name, binary / VENDOR / name) for name in vendored]
        found.append((local / STAGING, binary / VENDOR))
    if str(local) != str(binary):
        found.append((local, binary))
    return tuple((str(mine), str(theirs)) for mine, theirs in found)


def launch(view: View) -> dict[str, list[dict[str, Any]]]:
    """Return our entries of launch.json, by the list they belong to."""
    mapped = [{"from": mine, "to": theirs} for mine, theirs in view.rules]
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
            **({"substitutePath": mapped} if mapped else {}),
        }
        for name, port in view.ports.items()
    ]
    names = [entry["name"] for entry in entries]
    every = {"name": f"{PREFIX}debug all", "configurations": names, "stopAll": False}
    return {"configurations": entries, "compounds": [every]}


def goland(view: View) -> dict[str, str]:
    """Return GoLand's run configurations by path in the tree."""
    host = "" if view.is_local else view.host
    texts = {
        GOLAND[name]: render(
            "goland-remote.run.xml.j2", title=f"stepkube {name}", host=host, port=port
        )
        for name, port in view.ports.items()
    }
    parts = [f"stepkube {name}" for name in view.ports]
    every = render("goland-compound.run.xml.j2", title="stepkube all", parts=parts)
    return {**texts, GOLAND["all"]: every}


def snippet(view: View) -> str:
    """Return the Lua that adds our configurations to nvim-dap."""
    quoted = [
        {"from": json.dumps(mine, ensure_ascii=False), "to": json.dumps(theirs, ensure_ascii=False)}
        for mine, theirs in view.rules
    ]
    return render("nvim-dap.lua.j2", host=view.host, ports=view.ports, rules=quoted, prefix=PREFIX)


def excluded(text: str, tree: Path, patterns: Iterable[str]) -> str:
    """Return git's exclude file with our block for a tree, at its top, holding these patterns.

    Worktrees share the file, so each has a block of its own. No patterns, no block.
    """
    begin, end = (f"# stepkube ide {json.dumps(str(tree))}: {word}\n" for word in ("begin", "end"))
    kept = re.sub(f"^{re.escape(begin)}(.*\n)*?{re.escape(end)}", "", text, flags=re.MULTILINE)
    lines = "".join(f"{pattern}\n" for pattern in patterns)
    return f"{begin}{lines}{end}{kept}" if lines else kept
