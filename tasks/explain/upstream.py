"""What the tree's own hack/local-up-cluster.sh would run, by its dry run (1.34 and newer).

The script runs sealed off, see dryrun.py: its dry run alone would touch the machine.
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
"""Variables the dry run gets its own values of, or none."""
Values = Mapping[str, str]


@dataclass(frozen=True)
class Difference:
    """How a component differs from upstream's; by flag, or by file and dotted field."""

    here: Values
    upstream: Values
    both: Mapping[str, tuple[str, str]]

    def lines(self) -> Iterator[str]:
        """Yield the difference for people."""
        if not (self.here or self.upstream or self.both):
            yield "  none"
        for name, text in self.here.items():
            yield f"  only here      {name}={text}"
        for name, text in self.upstream.items():
            yield f"  only upstream  {name}={text}"
        for name, (ours, theirs) in self.both.items():
            yield f"  differs        {name}: {ours or 'empty'} here, {theirs or 'empty'} upstream"


def compared(settings: Settings, tree: Path, component: Component) -> Difference:
    """Compare a component with what upstream's dry run shows of it.

    Raises Failure where the script has no dry run, does not run this component, or where it
    cannot be sealed off.
    """
    script = tree / SCRIPT
    if "DRY_RUN" not in (script.read_text() if script.is_file() else ""):
        raise Failure(f"{script} has no dry run to compare with", "it came with Kubernetes 1.34")
    with tempfile.TemporaryDirectory(prefix="stepkube-dry-run-") as folder:
        scratch = Path(folder)
        said = _dry_run(tree, scratch, environment(settings))
        theirs = command(said, component.name)
        if theirs is None:
            raise Failure(
                f"the dry run of {script} shows no {component.name}", "compare another component"
            )
        names = {
            str(scratch / "certs"): str(settings.paths.certs),
            str(scratch / "logs"): str(settings.paths.logs),
            str(scratch / "tmp"): str(settings.paths.config),
        }
        files = {path.name: path.read_text() for path in (scratch / "tmp").glob("*.yaml")}
        ours = {path.name: text for path, text in component.files.items()}
        return difference(
            {**flags(component.argv[1:]), **fields(ours)},
            _renamed(
                {**flags(theirs), **fields({k: v for k, v in files.items() if k in ours})}, names
            ),
        )


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables of upstream that say what these settings say."""
    chosen = {}
    for row in table.table():
        given = settings.is_named(row.key) or row.key.endswith("port")
        if given and not row.env.startswith("STEPKUBE_") and row.env not in _OURS:
            now = settings.value(row.key)
            text = ",".join(now) if isinstance(now, tuple) else str(now)
            chosen[row.env] = text.lower() if isinstance(now, bool) else text
    return chosen


def command(said: str, name: str) -> tuple[str, ...] | None:
    """Return the arguments of a component in the output of a dry run."""
    for line in said.splitlines():
        if line.startswith(f"RUN {name}: "):
            words = line.split()
            program_at = next(n for n, word in enumerate(words) if word.endswith(f"/{name}"))
            return tuple(words[program_at + 1 :])
    return None


def flags(words: Sequence[str]) -> dict[str, str]:
    """Return flags with their values, be it one word or two."""
    found: dict[str, str] = {}
    last = ""
    for word in words:
        if word.startswith("--"):
            last, _, text = word.partition("=")
            found[last] = text
        elif last:
            found[last] = f"{found[last]} {word}".strip()
    return found


def fields(texts: Values) -> dict[str, str]:
    """Return every field of YAML files, as file:a.b."""
    import yaml  # noqa: PLC0415 - `doit list` stays fast

    found: dict[str, str] = {}
    for name, text in texts.items():
        if name.endswith(".yaml"):
            found |= {f"{name}:{key}": item for key, item in _flat(yaml.safe_load(text))}
    return found


def difference(ours: Values, theirs: Values) -> Difference:
    """Return what only one side has, and what they have with other values."""
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
    words = [f"{name}={text}" for name, text in environ.items()]
    answer = run(
        program("unshare"),
        *seal,
        sys.executable,
        helper,
        str(tree),
        str(scratch),
        *words,
        check=False,
        timeout=120,
        env={"PATH": os.defpath},
    )
    if "skipping running commands" not in answer.stdout:
        raise Failure(
            f"the dry run of {tree / SCRIPT} cannot be sealed off here: {answer.tail(2)}",
            "it is not run unsealed, for it writes outside the workspace; run it as root instead",
        )
    return answer.stdout
