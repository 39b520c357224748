"""Task that checks out the Kubernetes source from an origin and locks the choice."""

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
    """Check out the source and write the lock file, on which the later tasks depend."""
    checkout = _apply_version_file(settings, check_out(settings))
    note = facts.minor(checkout.minor).note
    if note:
        console.say(f"  {note}")
    value = {**asdict(checkout), "tree": str(checkout.tree)}
    value["minor"] = str(checkout.minor)
    files.write_json(settings.paths.lock, value)
    if missing := layout.first_missing_package(checkout.tree):
        console.say(
            f"  vendor/ has no {missing}: Go modules come from mirror.goproxy, verified by go.sum"
        )
    check.require(settings, checkout.minor)
    console.note(f"{checkout.version} from {checkout.origin}")


def check_out(settings: Settings) -> Checkout:
    """Return a checkout from the first origin that has the requested version.

    Origins that do not answer, are incomplete or do not have the version are skipped. Another
    version is never used instead; `auto` is the newest release, a minor its newest patch. Raises
    Failure with the error of every origin.
    """
    requested = normalized_version(settings.version)
    errors: list[str] = []
    hint = ""
    candidates = list(origins.origins_to_try(settings))
    for number, origin in enumerate(candidates, 1):
        next_step = ", trying the next origin" if number < len(candidates) else ""
        try:
            checkout = origin.checkout(requested)
            if is_minor(requested):
                console.say(f"  {requested} is {checkout.version} at {origin.name}")
            return checkout
        except Unreachable as error:
            errors.append(f"{origin.name}: {error.message}")
            console.say(f"  {origin.name} cannot be reached{next_step}")
        except Incomplete as error:
            errors.append(f"{origin.name}: {error.message}")
            console.say(f"  {origin.name} is incomplete{next_step}")
            hint = hint or error.hint
        except NoSuchVersion as error:
            errors.append(f"{origin.name}: {error.message}")
    none = f"  no origin is configured (origin.order: {settings.origin.order})"
    listing = "\n".join(f"  {line}" for line in errors) or none
    what = "a Kubernetes source" if requested == "auto" else f"Kubernetes {requested}"
    raise Failure(
        f"no origin has {what}:\n{listing}",
        hint
        or "correct `version`, or set origin.path, origin.tarball, origin.git, origin.apt or"
        " mirror.goproxy in stepkube.yaml",
    )


def _apply_version_file(settings: Settings, checkout: Checkout) -> Checkout:
    """Return the checkout with version, commit and state of build.version_file, if it is set."""
    file = settings.build.version_file
    if not file:
        return checkout
    where = f"build.version_file ({settings.source('build.version_file')})"
    stamp = version_stamp.from_file(user_path(file), where)
    commit = stamp.commit or checkout.commit
    return replace(checkout, version=stamp.version, commit=commit, state=stamp.state)


def normalized_version(version: str) -> str:
    """Return a version like an upstream tag: 1.20.2 becomes v1.20.2, an empty text becomes auto.

    Other texts, such as branches and commits, are returned unchanged.
    """
    text = version.strip() or "auto"
    if check.RELEASE.fullmatch(text) and not text.startswith("v"):
        return f"v{text}"
    return text


def is_as_locked(lock: Path, users_tree: bool, tagged: Path | None = None) -> bool:
    """Return whether the locked tree exists; a user's tree must also be at the locked commit.

    The tags of the tree `tagged` must also still give the locked version.
    """
    locked = load_checkout(lock)
    if locked.repository and not Path(locked.repository, "HEAD").is_file():
        return False
    head = version_stamp.head_commit(locked) if users_tree else ""
    if head and locked.tree == tagged and version_stamp.worktree_version(locked) != locked.version:
        return False
    return (locked.tree / "cmd").is_dir() and head in ("", locked.commit)


def _tagged(settings: Settings) -> Path | None:
    """Return the user's tree if its tags give the version, None if a setting does."""
    named = settings.build.version_stamp or settings.build.version_file
    return user_path(settings.origin.path) if settings.origin.path and not named else None


def task_checkout(settings: Settings) -> dict[str, Any]:
    """Return the task that checks out the Kubernetes source and locks the choice."""
    version_file = settings.build.version_file
    choice = masked(
        {
            "version": settings.version,
            "origin": asdict(settings.origin),
            "stamp": settings.build.version_stamp,
        }
    )
    file_dep = [str(user_path(version_file))] if version_file else []
    if bundle_record.imported_bundle(settings):
        file_dep.append(str(settings.paths.bundle))
    return {
        "doc": "check out the Kubernetes source and write its lock file",
        "actions": [(make, [settings])],
        "targets": [str(settings.paths.lock)],
        "task_dep": ["check", "downloads", "unbundle"],
        "file_dep": file_dep,
        "uptodate": [
            config_changed(choice),
            Check(
                "the locked tree exists, at the locked commit",
                is_as_locked,
                (settings.paths.lock, bool(settings.origin.path), _tagged(settings)),
            ),
        ],
        "clean": True,
    }
