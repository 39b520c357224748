"""Check out the source tree from an origin, and lock which version of it was taken."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tasks.build import layout
from tasks.check import tasks as check
from tasks.checkout import origins
from tasks.checkout.base import Incomplete, NoSuchVersion, Unreachable
from tasks.cli.task import Check, action, config_changed
from tasks.core import console
from tasks.core.errors import Failure
from tasks.core.redact import masked
from tasks.kubernetes import bundle_record, facts, version_stamp
from tasks.kubernetes.releases import is_minor
from tasks.kubernetes.tree import Checkout, load_checkout
from tasks.settings.load import Settings
from tasks.settings.paths import user_path
from tasks.system import files


@action
def make(settings: Settings) -> None:
    """Check the source out and write the lock that the later stages depend on."""
    checkout = stamped(settings, take(settings))
    about = facts.minor(checkout.minor)
    if about.note:
        console.say(f"  {about.note}")
    value = {**asdict(checkout), "tree": str(checkout.tree)}
    value["minor"] = str(checkout.minor)
    files.write_json(settings.paths.lock, value)
    if lacks := layout.first_missing_package(checkout.tree):
        console.say(
            f"  its vendor/ lacks {lacks}: modules come from mirror.goproxy, checked by go.sum"
        )
    check.require(settings, checkout.minor)
    console.note(f"{checkout.version} from {checkout.origin}")


def take(settings: Settings) -> Checkout:
    """Try the origins in order and check out the first that can be had.

    With `version: auto` an origin that cannot be reached is skipped and said; a version that the
    user named must be found, and is never replaced by another; of a minor it is the newest patch.
    """
    wanted = normal(settings.version)
    tried: list[str] = []
    hint = ""
    places = list(origins.origins_to_try(settings))
    for number, origin in enumerate(places, 1):
        further = ", trying the next origin" if number < len(places) else ""
        try:
            found = origin.checkout(wanted)
            if is_minor(wanted):
                console.say(f"  {wanted} is {found.version} at {origin.name}")
            return found
        except Unreachable as error:
            tried.append(f"{origin.name}: {error.message}")
            console.say(f"  {origin.name} cannot be reached{further}")
        except Incomplete as error:
            tried.append(f"{origin.name}: {error.message}")
            console.say(f"  {origin.name} is incomplete{further}")
            hint = hint or error.hint
        except NoSuchVersion as error:
            tried.append(f"{origin.name}: {error.message}")
    none = f"  none is configured (origin.order: {settings.origin.order})"
    listing = "\n".join(f"  {line}" for line in tried) or none
    what = "a Kubernetes source" if wanted == "auto" else f"Kubernetes {wanted}"
    raise Failure(
        f"{what} is not to be had from any origin:\n{listing}",
        hint
        or "correct `version`, or set origin.path, origin.tarball, origin.git, origin.apt or"
        " mirror.goproxy in stepkube.yaml",
    )


def stamped(settings: Settings, checkout: Checkout) -> Checkout:
    """Return a checkout that calls itself what the file of build.version_file says."""
    named = settings.build.version_file
    if not named:
        return checkout
    where = f"build.version_file ({settings.source('build.version_file')})"
    told = version_stamp.from_file(user_path(named), where)
    commit = told.commit or checkout.commit
    return replace(checkout, version=told.version, commit=commit, state=told.state)


def normal(version: str) -> str:
    """Return a version as upstream tags it: 1.20.2 becomes v1.20.2; other words stay."""
    text = version.strip() or "auto"
    if check.RELEASE.fullmatch(text) and not text.startswith("v"):
        return f"v{text}"
    return text


def is_as_locked(lock: Path, own: bool) -> bool:
    """Tell whether the locked tree is still there, a user's own at the locked commit."""
    locked = load_checkout(lock)
    if locked.repository and not Path(locked.repository, "HEAD").is_file():
        return False
    moved = own and version_stamp.head_commit(locked) not in ("", locked.commit)
    return (locked.tree / "cmd").is_dir() and not moved


def task_checkout(settings: Settings) -> dict[str, Any]:
    """Return the task that checks out the Kubernetes source and locks the choice."""
    named = settings.build.version_file
    choice = masked(
        {
            "version": settings.version,
            "origin": asdict(settings.origin),
            "stamp": settings.build.version_stamp,
        }
    )
    given = [str(user_path(named))] if named else []
    return {
        "doc": "check out the Kubernetes source and lock the choice",
        "actions": [(make, [settings])],
        "targets": [str(settings.paths.lock)],
        "task_dep": ["check", "downloads", "unbundle"],
        "file_dep": given
        + ([str(settings.paths.bundle)] if bundle_record.imported_bundle(settings) else []),
        "uptodate": [
            config_changed(choice),
            Check(
                "the locked tree exists, at the locked commit",
                is_as_locked,
                (settings.paths.lock, bool(settings.origin.path)),
            ),
        ],
        "clean": True,
    }
