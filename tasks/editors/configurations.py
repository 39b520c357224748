"""Pure builders of the debug configurations of VS Code, GoLand and Neovim, one per debug port."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from tasks.editors.commands import Argv
from tasks.editors.naming import VERBS, Naming
from tasks.settings.templates import render

EDITORS = {"vscode": "VS Code", "goland": "GoLand", "nvim": "Neovim with nvim-dap"}
STAGING, VENDOR = "staging/src/k8s.io", "vendor/k8s.io"


@dataclass(frozen=True)
class View:
    """The data of the configurations: host, debug ports, path mapping."""

    host: str
    ports: Mapping[str, int]
    """The debug port by component."""
    rules: tuple[tuple[str, str], ...]
    """Pairs of a path in the editor and the path in the binary; the first matching rule counts."""
    naming: Naming = Naming()
    commands: Mapping[str, Argv] = field(default_factory=dict)
    """The argv by task, such as debug:kubelet; empty if doit is not on the editor's machine."""

    def entry(self, name: str) -> str:
        """Return the name of a component's entry."""
        return f"{self.naming.prefix}debug {name}{self.naming.suffix(self.ports[name])}"

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
    """Return the tool's entries of launch.json by list."""
    mapping = [{"from": editor, "to": binary} for editor, binary in view.rules]
    entries = [
        {
            "name": view.entry(name),
            "type": "go",
            "debugAdapter": "dlv-dap",
            "request": "attach",
            "mode": "remote",
            "host": view.host,
            "port": port,
            "stopOnEntry": False,
            **({"substitutePath": mapping} if mapping else {}),
            **_before(view, f"debug:{name}"),
        }
        for name, port in view.ports.items()
    ]
    compound = {
        "name": f"{view.naming.prefix}debug all",
        "configurations": [entry["name"] for entry in entries],
        "stopAll": False,
        **_before(view, "debug"),
    }
    return {"configurations": entries, "compounds": [compound]}


def _before(view: View, task: str) -> dict[str, str]:
    return {"preLaunchTask": _label(view, task)} if task in view.commands else {}


def _label(view: View, task: str) -> str:
    return f"{view.naming.prefix}doit {task}"


def tasks(view: View) -> dict[str, list[dict[str, Any]]]:
    """Return the tool's entries of tasks.json by list.

    A task of the type "process" has no shell between VS Code and the argv.
    """
    return {
        "tasks": [
            {
                "label": _label(view, task),
                "type": "process",
                "command": argv[0],
                "args": list(argv[1:]),
                "presentation": {"reveal": "silent", "panel": "dedicated", "clear": True},
                "problemMatcher": [],
            }
            for task, argv in view.commands.items()
        ]
    }


def goland(view: View) -> dict[str, str]:
    """Return the text of GoLand's run configurations by path in the tree."""
    host = "" if view.is_local else view.host
    paths, word = view.naming.goland, view.naming.word
    titles = {name: f"{word} {name}{view.naming.suffix(view.ports[name])}" for name in view.ports}
    texts = {}
    for name, port in view.ports.items():
        scripts = {}
        for verb in VERBS:
            argv = view.commands.get(f"{verb}:{name}")
            if argv:
                scripts[verb] = f"{word} {verb} {name}"
                texts[paths[f"{verb} {name}"]] = render(
                    "goland-shell.run.xml.j2",
                    title=scripts[verb],
                    folder=word,
                    script=shlex.join(argv),
                )
        texts[paths[name]] = render(
            "goland-remote.run.xml.j2",
            title=titles[name],
            folder=word,
            host=host,
            port=port,
            before=scripts.get("debug", ""),
        )
    compound = render(
        "goland-compound.run.xml.j2",
        title=f"{word} all",
        folder=word,
        parts=list(titles.values()),
    )
    return {**texts, paths["all"]: compound}


def snippet(view: View) -> str:
    """Return the Lua code that adds the tool's configurations to nvim-dap."""
    return render(
        "nvim-dap.lua.j2",
        adapter=view.naming.word,
        host=view.host,
        ports=view.ports,
        entries={name: view.entry(name) for name in view.ports},
        rules=view.rules,
        prefix=view.naming.prefix,
        instance="" if view.naming == Naming() else f"@{view.naming.instance}",
        commands=dict(view.commands),
    )


def with_patterns(text: str, tree: Path, word: str, patterns: Iterable[str]) -> str:
    """Return git's exclude file with these patterns at the top, in the tool's block for a tree.

    Worktrees and instances (`word`) share the file, so each has a separate block. Without patterns
    there is no block.
    """
    title = f"# {word} ide {json.dumps(str(tree))}"
    begin, end = (f"{title}: {edge}\n" for edge in ("begin", "end"))
    rest = re.sub(f"^{re.escape(begin)}(.*\n)*?{re.escape(end)}", "", text, flags=re.MULTILINE)
    lines = "".join(f"{pattern}\n" for pattern in patterns)
    return f"{begin}{lines}{end}{rest}" if lines else rest
