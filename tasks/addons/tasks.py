"""Stage 6, last part: apply what belongs into every cluster, such as DNS, and remove it again.

A record says what an addon made, in which cluster, and from which manifest. While it agrees with
the rendered manifest nothing is asked of the cluster.
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
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes.tree import load_checkout
from tasks.runtime.kubectl import kubectl
from tasks.settings.load import Settings, current
from tasks.system import files, process
from tasks.system.run import Result

NAMESPACE = 30.0
"""Seconds to wait for a namespace: for kube-system after a first start, or for one that ends."""
_WAIT = ('namespaces "kube-system" not found', "because it is being terminated")
_ANEW = (
    "field is immutable",
    "may not change once set",
    "Forbidden: updates to",
    "cannot change roleRef",
)


@dataclass(frozen=True)
class Record:
    """What an addon made; `manifest` is the digest of what was applied, empty when cut off.

    `cluster` tells one etcd process from the next: another one may hold other data.
    """

    objects: tuple[Object, ...]
    manifest: str = ""
    cluster: str = ""


def rendered(settings: Settings, name: str) -> Path:
    """Return the file of an addon's manifest; it is empty when the addon is not wanted."""
    return settings.paths.config / "addons" / f"{name}.yaml"


def load(settings: Settings, name: str) -> Record | None:
    """Return the record of an addon, or None when it made nothing."""
    value = files.read_json(_record(settings, name))
    if value is None:
        return None
    made = tuple(Object(**one) for one in value.pop("objects"))
    return Record(made, **value)


def forget(settings: Settings) -> None:
    """Forget what was made in a cluster whose objects are gone."""
    shutil.rmtree(_records(settings), ignore_errors=True)


@console.action
def render(settings: Settings, name: str) -> None:
    """Write an addon's manifest; an unchanged one keeps its time stamp."""
    text = catalog.render(settings, load_checkout(settings.paths.lock), name)
    files.write_if_changed(rendered(settings, name), text)


@console.action
def apply(settings: Settings, name: str) -> None:
    """Bring the cluster to an addon's manifest, and remove what an earlier one made beyond it."""
    with files.locked(settings.paths.run / "addons.lock"):
        file = rendered(settings, name)
        text = file.read_text()
        new = catalog.objects(text, file)
        record = load(settings, name)
        old = record.objects if record else ()
        gone = tuple(one for one in old if not any(one.same(other) for other in new))
        if new or gone:
            _save(settings, name, Record((*new, *gone)))
        if new:
            _create(settings, name, file)
            console.note(f"{len(new)} objects applied")
        if gone:
            _delete(settings, name, gone)
            console.note(f"{len(gone)} objects removed")
        if text:
            _save(settings, name, Record(new, files.digest(text), cluster(settings)))
        else:
            _record(settings, name).unlink(missing_ok=True)
        if text and not new:
            console.note(text.strip("# \n"))


class Applied:
    """Up-to-date check: the cluster that runs has an addon as it is configured now."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings, self.name = settings, name

    def __call__(self) -> bool:
        """Look, and never raise: doit would end the whole run."""
        try:
            text = rendered(self.settings, self.name).read_text()
            record = load(self.settings, self.name)
            if not text or record is None:
                return not text and record is None
            wanted = (files.digest(text), cluster(self.settings))
            return (record.manifest, record.cluster) == wanted
        except (Failure, OSError):
            return False

    def __repr__(self) -> str:
        return f"{self.name} is as it was applied to the cluster that runs"


def cluster(settings: Settings) -> str:
    """Return what tells the etcd that runs from any other, or nothing when none runs."""
    record = process.load(settings.paths.run, "etcd")
    if record is None or not record.alive():
        return ""
    return files.digest(*(str(part) for part in asdict(record.identity).values()))


def _create(settings: Settings, name: str, file: Path) -> None:
    """Apply a manifest; what cannot be changed in place is made anew."""
    end = time.monotonic() + NAMESPACE
    answer = _kubectl(settings, "apply", "-f", str(file))
    while any(text in answer.stderr for text in _WAIT) and time.monotonic() < end:
        time.sleep(0.5)
        answer = _kubectl(settings, "apply", "-f", str(file))
    if answer.code and any(text in answer.stderr for text in _ANEW):
        answer = _kubectl(settings, "replace", "--force", "--save-config", "-f", str(file))
    _require(settings, answer, f"kubectl could not apply the addon {name}, {file}")


def _delete(settings: Settings, name: str, gone: tuple[Object, ...]) -> None:
    """Delete objects; those of an API that this version no longer has are gone anyway."""
    stubs = {"apiVersion": "v1", "kind": "List", "items": [one.stub for one in reversed(gone)]}
    words = ("delete", "-f", "-", "--ignore-not-found", "--wait=false")
    answer = _kubectl(settings, *words, stdin=json.dumps(stubs))
    said = [line for line in answer.stderr.splitlines() if not line.startswith("warning")]
    if said and all("no matches for kind" in line for line in said):
        return
    _require(settings, answer, f"kubectl could not delete {len(gone)} objects of the addon {name}")


def _kubectl(settings: Settings, *words: str, stdin: str | None = None) -> Result:
    """Run kubectl and add what it said to the log of the addons."""
    answer = kubectl(settings, *words, stdin=stdin, check=False)
    log = settings.paths.log("addons")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream:
        stream.write(f"$ kubectl {' '.join(words)}\n{answer.stdout}{answer.stderr}")
    return answer


def _require(settings: Settings, answer: Result, what: str) -> None:
    if answer.code:
        raise Failure(f"{what}\n{answer.tail(4)}", f"read {settings.paths.log('addons')}")


def _save(settings: Settings, name: str, record: Record) -> None:
    files.write_json(_record(settings, name), asdict(record))


def _records(settings: Settings) -> Path:
    return settings.paths.instance / "addons"


def _record(settings: Settings, name: str) -> Path:
    return _records(settings) / f"{name}.json"


def task_manifests() -> Iterator[dict[str, Any]]:
    """Yield one hidden task per addon that renders its manifest."""
    settings = current()
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


def task_addons() -> Iterator[dict[str, Any]]:
    """Yield one task per addon that applies it, or removes it when it is no longer wanted."""
    settings = current()
    yield {"name": None, "doc": "apply addons such as DNS, or remove those no longer wanted"}
    own = settings.start.control_plane
    for name, addon in ADDONS.items():
        yield {
            "name": name,
            "doc": f"apply the {addon.doc}, or remove what is no longer wanted of it",
            "actions": [(apply, [settings, name])],
            "file_dep": [str(rendered(settings, name))],
            "task_dep": [
                *(["start:kube-apiserver"] if own else []),
                *([] if settings.start.kubectl else ["build:kubectl"]),
                "certs:client-admin",
                "certs:kubeconfig-admin",
            ],
            "uptodate": [Applied(settings, name)],
            "meta": {"quiet": not addon.wanted(settings)},
        }
