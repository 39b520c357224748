"""Compare a component with the dry run of the tree's hack/local-up-cluster.sh (from 1.34).

The script runs isolated, see dryrun.py, because its dry run changes the machine.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.components.base import Component
from tasks.core.errors import Failure
from tasks.settings import table
from tasks.settings.load import Settings
from tasks.system.run import program, run

SCRIPT = Path("hack", "local-up-cluster.sh")
_OURS = frozenset(
    {
        "CERT_DIR",
        "ENABLE_DAEMON",
        "ETCD_DIR",
        "GOPROXY",
        "GOSUMDB",
        "GO_OUT",
        "LOG_DIR",
        "REUSE_CERTS",
        "SSL_CERT_FILE",
        "START_MODE",
        "TMP_DIR",
    }
)
"""Variables that are not passed on: the dry run gets its own values, or none."""
Values = Mapping[str, str]


@dataclass(frozen=True)
class Difference:
    """Differences from upstream, by flag or by file and dotted field; the fields are JSON keys."""

    here: Values
    upstream: Values
    both: Mapping[str, tuple[str, str]]

    def lines(self) -> Iterator[str]:
        """Yield the differences as text."""
        if not (self.here or self.upstream or self.both):
            yield "  none"
        for name, text in self.here.items():
            yield f"  only here      {name}={text}"
        for name, text in self.upstream.items():
            yield f"  only upstream  {name}={text}"
        for name, (ours, theirs) in self.both.items():
            yield f"  differs        {name}: {ours or 'empty'} here, {theirs or 'empty'} upstream"


def compare(settings: Settings, tree: Path, component: Component) -> Difference:
    """Compare a component with its command line and files in upstream's dry run.

    Raises Failure if the script has no dry run, does not run this component, or cannot be isolated.
    """
    script = tree / SCRIPT
    if "DRY_RUN" not in (script.read_text(errors="replace") if script.is_file() else ""):
        raise Failure(f"{script} has no dry run", "use Kubernetes 1.34 or newer for --upstream")
    with tempfile.TemporaryDirectory(prefix="stepkube-dry-run-") as folder:
        scratch = Path(folder)
        output = _dry_run(tree, scratch, environment(settings))
        theirs = command(output, component.name)
        if theirs is None:
            raise Failure(
                f"the dry run of {script} shows no {component.name}", "compare another component"
            )
        names = {
            str(scratch / "certs"): str(settings.paths.certs),
            str(scratch / "logs"): str(settings.paths.logs),
            str(scratch / "tmp"): str(settings.paths.config),
        }
        files = {
            path.name: path.read_text(errors="replace") for path in (scratch / "tmp").glob("*.yaml")
        }
        ours = {path.name: text for path, text in component.files.items()}
        return difference(
            {**flags(component.argv[1:]), **fields(ours)},
            _renamed(
                {**flags(theirs), **fields({k: v for k, v in files.items() if k in ours})}, names
            ),
        )


def environment(settings: Settings) -> dict[str, str]:
    """Return the settings as variables of upstream's script: those that are set, and all ports."""
    variables = {}
    for row in table.table():
        passed = settings.is_given(row.key) or row.key.endswith("port")
        if passed and not row.env.startswith("STEPKUBE_") and row.env not in _OURS:
            value = settings.value(row.key)
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            variables[row.env] = text.lower() if isinstance(value, bool) else text
    return variables


def command(output: str, name: str) -> tuple[str, ...] | None:
    """Return the arguments of a component in the output of a dry run, or None if it has none."""
    for line in output.splitlines():
        if line.startswith(f"RUN {name}: "):
            argv = line.split()
            program_at = next(n for n, part in enumerate(argv) if part.endswith(f"/{name}"))
            return tuple(argv[program_at + 1 :])
    return None


def flags(arguments: Sequence[str]) -> dict[str, str]:
    """Return flags with their values, written as --flag=value or as --flag value."""
    found: dict[str, str] = {}
    last = ""
    for argument in arguments:
        if argument.startswith("--"):
            last, _, text = argument.partition("=")
            found[last] = text
        elif last:
            found[last] = f"{found[last]} {argument}".strip()
    return found


def fields(texts: Values) -> dict[str, str]:
    """Return every field of YAML files, with names such as kubelet.yaml:a.b."""
    import yaml  # noqa: PLC0415 - `doit list` stays fast

    found: dict[str, str] = {}
    for name, text in texts.items():
        if name.endswith(".yaml"):
            found |= {f"{name}:{key}": item for key, item in _flat(yaml.safe_load(text))}
    return found


def difference(ours: Values, theirs: Values) -> Difference:
    """Return the values that only one side has, and those that differ."""
    return Difference(
        {name: text for name, text in ours.items() if name not in theirs},
        {name: text for name, text in theirs.items() if name not in ours},
        {
            name: (text, theirs[name])
            for name, text in ours.items()
            if name in theirs and theirs[name] != text
        },
    )


def _flat(tree: Any, above: str = "") -> Iterator[tuple[str, str]]:
    if not isinstance(tree, dict):
        text = ",".join(map(str, tree)) if isinstance(tree, list) else str(tree)
        yield above, text.lower() if isinstance(tree, bool) else "" if tree is None else text
        return
    for key, item in tree.items():
        yield from _flat(item, f"{above}.{key}" if above else str(key))


def _renamed(values: Values, names: Values) -> dict[str, str]:
    found = dict(values)
    for theirs, ours in names.items():
        found = {flag: text.replace(theirs, ours) for flag, text in found.items()}
    return found


def _dry_run(tree: Path, scratch: Path, environ: Values) -> str:
    helper = str(Path(__file__).with_name("dryrun.py"))
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    seal = [*user, "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child"]
    variables = [f"{name}={text}" for name, text in environ.items()]
    result = run(
        program("unshare"),
        *seal,
        sys.executable,
        helper,
        str(tree),
        str(scratch),
        *variables,
        check=False,
        timeout=120,
        env={"PATH": os.defpath},
    )
    if "skipping running commands" not in result.stdout:
        raise Failure(
            f"the dry run of {tree / SCRIPT} cannot be isolated on this machine: {result.tail(2)}",
            "run the task as root (without isolation the script would write outside the workspace)",
        )
    return result.stdout
