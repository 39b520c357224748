"""Stage 3: from an origin to a tree at a version, and a lock that says which one was taken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from doit.tools import config_changed

from tasks import check, files, origins, report
from tasks.failure import Failure
from tasks.mask import masked
from tasks.origins import bundled
from tasks.origins.base import NoSuchVersion, Unreachable
from tasks.settings import Settings, current
from tasks.tree import Checkout, load_checkout

_RELEASE = re.compile(r"v?\d+\.\d+(\.\d+)?(-[a-z]+\.\d+)?")


@report.action
def make(settings: Settings) -> None:
    """Check the source out and write the lock that the later stages depend on."""
    checkout = take(settings)
    value = {**asdict(checkout), "tree": str(checkout.tree)}
    value["minor"] = ".".join(str(number) for number in checkout.minor)
    files.write_json(settings.paths.lock, value)
    check.require(settings, checkout.minor)
    report.note(f"{checkout.version} from {checkout.origin}")


def take(settings: Settings) -> Checkout:
    """Try the origins in order and check out the first that can be had.

    With `version: auto` an origin that cannot be reached is skipped and said; a version that the
    user named must be found, and is never replaced by another.
    """
    wanted = normal(settings.version)
    tried: list[str] = []
    for origin in origins.of(settings):
        try:
            return origin.checkout(wanted)
        except Unreachable as error:
            tried.append(f"{origin.name}: {error.message}")
            report.say(f"  {origin.name} cannot be reached, trying the next origin")
        except NoSuchVersion as error:
            tried.append(f"{origin.name}: {error.message}")
    listing = "\n".join(f"  {line}" for line in tried) or "  none is configured"
    what = "a Kubernetes source" if wanted == "auto" else f"Kubernetes {wanted}"
    raise Failure(
        f"{what} is not to be had from any origin:\n{listing}",
        "correct `version`, or set origin.path, origin.tarball, origin.git or origin.apt in"
        " stepkube.yaml",
    )


def normal(version: str) -> str:
    """Return a version as upstream tags it: 1.20.2 becomes v1.20.2; other words stay."""
    text = version.strip()
    if _RELEASE.fullmatch(text) and not text.startswith("v"):
        return f"v{text}"
    return text


class TreeExists:
    """Up-to-date check: the locked tree is still there."""

    def __init__(self, lock: Path) -> None:
        self.lock = lock

    def __call__(self) -> bool:
        """Look, and never raise: doit would end the whole run."""
        try:
            return (load_checkout(self.lock).tree / "cmd").is_dir()
        except Failure:
            return False

    def __repr__(self) -> str:
        return "the locked tree exists"


def task_checkout() -> Iterator[dict[str, Any]]:
    """Check out the Kubernetes source and lock the choice."""
    yield from _tasks(current())


def _tasks(settings: Settings) -> Sequence[dict[str, Any]]:
    choice = masked({"version": settings.version, "origin": asdict(settings.origin)})
    return [
        {
            "basename": "checkout",
            "doc": "check out the Kubernetes source and lock the choice",
            "actions": [(make, [settings])],
            "targets": [str(settings.paths.lock)],
            "task_dep": ["check", "downloads", "unbundle"],
            "file_dep": [str(settings.paths.bundle)] if bundled.taken(settings) else [],
            "uptodate": [config_changed(choice), TreeExists(settings.paths.lock)],
            "clean": True,
        }
    ]
