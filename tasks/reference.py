"""What every setting is: `doit config` for this machine, docs/configuration.md for everybody."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from tasks import options, report
from tasks.settings import Row, Settings, current, table

HEADER = """# Configuration

Every setting can be given in `stepkube.yaml` (by its key), in the environment (by its variable) or
on the command line (`doit up api.secure_port=7443`). The command line wins over the environment,
the environment over the file, the file over the default. Variables that
`hack/local-up-cluster.sh` knows keep their upstream name.

`STEPKUBE_HOME` moves the workspace (default: `.stepkube` beside `dodo.py`), `STEPKUBE_CONFIG` names
another file than `stepkube.yaml`.
"""


def markdown() -> str:
    """Return docs/configuration.md, made from the table of settings."""
    parts = [HEADER]
    group = ""
    for row in table():
        name = row.key.partition(".")[0] if "." in row.key else "general"
        if name != group:
            group = name
            kind = options.GROUPS.get(group)
            title = (kind.__doc__ or "").strip() if kind else "What, and which cluster."
            parts.append(f"\n## {group}\n\n{title}\n\n| key | variable | default | meaning |")
            parts.append("| --- | --- | --- | --- |")
        parts.append(f"| `{row.key}` | `{row.env}` | {_cell(row.default)} | {_meaning(row)} |")
    return "\n".join(parts) + "\n"


def lines(settings: Settings) -> list[str]:
    """Return one line per setting: key, value, and where the value came from."""
    shown = []
    for row in table():
        group, _, name = row.key.partition(".")
        holder = getattr(settings, group) if name else settings
        value = getattr(holder, name or {"instance": "name"}.get(group, group))
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        shown.append(f"{row.key:<42} {text or '-':<44} {settings.sources[row.key]}")
    return shown


@report.action
def config(settings: Settings) -> None:
    """Print every setting."""
    for line in lines(settings):
        report.say(line)


def _cell(default: Any) -> str:
    if isinstance(default, tuple):
        default = ", ".join(default)
    if isinstance(default, bool):
        default = str(default).lower()
    return f"`{str(default).replace('|', chr(92) + '|')}`" if default != "" else ""


def _meaning(row: Row) -> str:
    text = row.doc.replace("|", "\\|")
    kind = get_args(row.kind)[0] if get_origin(row.kind) is tuple else row.kind
    if get_origin(kind) is Literal:
        text += " (" + ", ".join(f"`{choice}`" for choice in get_args(kind) if choice) + ")"
    if row.since:
        text += f"; from {row.since}"
    if row.until:
        text += f"; up to {row.until}"
    return text


def task_config() -> dict[str, Any]:
    """Return the task that prints the settings."""
    return {
        "doc": "show every setting, its value and where it came from",
        "actions": [(config, [current()])],
        "uptodate": [False],
        "meta": report.ANSWER,
    }
