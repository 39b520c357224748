"""Tasks `addons:NAME`: apply the addons of a cluster, such as DNS, and remove them.

A record contains the objects that an addon created, the cluster, and the digest of the manifest.
If the record matches the rendered manifest, kubectl is not called.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.addons import catalog
from tasks.addons.catalog import ADDONS, Object
from tasks.cli.task import Check, action
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes.tree import load_checkout
from tasks.runtime.kubectl import kubectl
from tasks.settings.load import Settings
from tasks.system import files, process, state
from tasks.system.run import Result

NAMESPACE_WAIT = 30.0
"""Seconds to wait until kube-system exists after a first start, or a namespace is deleted."""
_RETRY = ('namespaces "kube-system" not found', "because it is being terminated")
_IMMUTABLE = (
    "field is immutable",
    "may not change once set",
    "Forbidden: updates to",
    "cannot change roleRef",
)


@dataclass(frozen=True)
class Record:
    """Record of an addon; the fields are its JSON keys."""

    objects: tuple[Object, ...]
    """Objects that the addon created, or can have created in a run that failed."""
    manifest: str = ""
    """Digest of the manifest that was applied; empty if the run did not complete."""
    cluster: str = ""
    """Digest of the identity of the etcd process: another process can have other data."""


def rendered(settings: Settings, name: str) -> Path:
    """Return the path of an addon's rendered manifest; the file is empty if the addon is off."""
    return settings.paths.config / "addons" / f"{name}.yaml"


def load(settings: Settings, name: str) -> Record | None:
    """Return the record of an addon, or None if it created no object."""
    return state.load(_record(settings, name), Record)


def forget(settings: Settings) -> None:
    """Delete the records of all addons; for a cluster whose objects were deleted."""
    shutil.rmtree(_records(settings), ignore_errors=True)


@action
def render(settings: Settings, name: str) -> None:
    """Write the manifest of an addon; an unchanged file keeps its time stamp."""
    text = catalog.render(settings, load_checkout(settings.paths.lock), name)
    files.write_if_changed(rendered(settings, name), text)


@action
def apply(settings: Settings, name: str) -> None:
    """Apply the manifest of an addon, and delete objects that only an earlier manifest had."""
    with files.locked(settings.paths.run / "addons.lock"):
        file = rendered(settings, name)
        text = file.read_text()
        new = catalog.objects(text, file)
        record = load(settings, name)
        old = record.objects if record else ()
        removed = tuple(item for item in old if not any(item.same(other) for other in new))
        if new or removed:
            _save(settings, name, Record((*new, *removed)))
        if new:
            _create(settings, name, file)
            console.note(f"{len(new)} objects applied")
        if removed:
            _delete(settings, name, removed)
            console.note(f"{len(removed)} objects removed")
        if text:
            _save(settings, name, Record(new, files.digest(text), cluster(settings)))
        else:
            _record(settings, name).unlink(missing_ok=True)
        if text and not new:
            console.note(text.strip("# \n"))


def is_applied(settings: Settings, name: str) -> bool:
    """Tell whether the cluster that runs has an addon as it is configured now."""
    text = rendered(settings, name).read_text()
    record = load(settings, name)
    if not text or record is None:
        return not text and record is None
    return (record.manifest, record.cluster) == (files.digest(text), cluster(settings))


def cluster(settings: Settings) -> str:
    """Return a digest of the identity of the running etcd, or an empty string if none runs."""
    record = process.load(settings.paths.run, "etcd")
    if record is None or not record.alive():
        return ""
    return files.digest(*(str(part) for part in asdict(record.identity).values()))


def _create(settings: Settings, name: str, file: Path) -> None:
    """Apply a manifest; delete and create objects again if a field cannot be changed."""
    end = time.monotonic() + NAMESPACE_WAIT
    result = _kubectl(settings, "apply", "-f", str(file))
    while any(text in result.stderr for text in _RETRY) and time.monotonic() < end:
        time.sleep(0.5)
        result = _kubectl(settings, "apply", "-f", str(file))
    if result.code and any(text in result.stderr for text in _IMMUTABLE):
        result = _kubectl(settings, "replace", "--force", "--save-config", "-f", str(file))
    _require_success(settings, result, f"kubectl cannot apply addon {name} ({file})")


def _delete(settings: Settings, name: str, removed: tuple[Object, ...]) -> None:
    """Delete objects; an object whose API this version does not have counts as deleted."""
    stubs = {"apiVersion": "v1", "kind": "List", "items": [item.stub for item in reversed(removed)]}
    arguments = ("delete", "-f", "-", "--ignore-not-found", "--wait=false")
    result = _kubectl(settings, *arguments, stdin=json.dumps(stubs))
    errors = [line for line in result.stderr.splitlines() if not line.startswith("warning")]
    if errors and all("no matches for kind" in line for line in errors):
        return
    _require_success(
        settings, result, f"kubectl cannot delete {len(removed)} objects of addon {name}"
    )


def _kubectl(settings: Settings, *arguments: str, stdin: str | None = None) -> Result:
    """Run kubectl and append its output to logs/addons.log."""
    result = kubectl(settings, *arguments, stdin=stdin, check=False)
    log = settings.paths.log("addons")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream:
        stream.write(f"$ kubectl {' '.join(arguments)}\n{result.stdout}{result.stderr}")
    return result


def _require_success(settings: Settings, result: Result, message: str) -> None:
    if result.code:
        raise Failure(f"{message}\n{result.tail(4)}", f"read {settings.paths.log('addons')}")


def _save(settings: Settings, name: str, record: Record) -> None:
    files.write_json(_record(settings, name), asdict(record))


def _records(settings: Settings) -> Path:
    return settings.paths.instance / "addons"


def _record(settings: Settings, name: str) -> Path:
    return _records(settings) / f"{name}.json"


def task_manifests(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one hidden task per addon that renders its manifest."""
    yield {"basename": "_manifests", "name": None, "doc": "render the manifests of addons"}
    for name, addon in ADDONS.items():
        yield {
            "basename": "_manifests",
            "name": name,
            "doc": f"render the manifest of the {addon.doc}",
            "actions": [(render, [settings, name])],
            "targets": [str(rendered(settings, name))],
            "task_dep": ["checkout"],
            "uptodate": [False],
            "meta": {"quiet": True},
        }


def task_addons(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per addon that applies it, or removes it if it is off."""
    yield {"name": None, "doc": "apply addons such as DNS, and remove addons that are off"}
    local = settings.start.control_plane
    # an addon has an effect only when the controllers run; `up` starts them before it applies it
    control_plane = [
        f"start:{spec.name}"
        for spec in COMPONENTS.values()
        if spec.part == "control-plane" and spec.selected(settings)
    ]
    for name, addon in ADDONS.items():
        yield {
            "name": name,
            "doc": f"apply the addon {name} ({addon.doc}); remove it if it is off",
            "actions": [(apply, [settings, name])],
            "file_dep": [str(rendered(settings, name))],
            "task_dep": [
                *(control_plane if local else []),
                *([] if settings.start.kubectl else ["build:kubectl"]),
                "certs:client-admin",
                "certs:kubeconfig-admin",
            ],
            "uptodate": [
                Check(
                    f"{name} is as it was applied to the cluster that runs",
                    is_applied,
                    (settings, name),
                )
            ],
            "meta": {"quiet": not addon.enabled(settings)},
        }
