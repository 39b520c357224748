"""Catalog of addons, and their manifests, rendered from the files of the tree.

The paths and the placeholders of these files differ between Kubernetes minors. The tree itself
shows which ones it has, so this module does not look at the minor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.addons.template_values import fill
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.tree import Checkout
from tasks.settings.load import ROOT, Settings

TEMPLATES = ROOT / "templates" / "addons"
_ADDONS = "cluster/addons"
_DASHBOARD = ("secret", "configmap", "rbac", "controller", "service")
_SNAPSHOTS = tuple(
    f"{_ADDONS}/volumesnapshots/{file}.yaml"
    for file in (
        "crd/snapshot.storage.k8s.io_volumesnapshots",
        "crd/snapshot.storage.k8s.io_volumesnapshotclasses",
        "crd/snapshot.storage.k8s.io_volumesnapshotcontents",
        "volume-snapshot-controller/rbac-volume-snapshot-controller",
        "volume-snapshot-controller/volume-snapshot-controller-deployment",
    )
)
_PSP = tuple(
    f"examples/podsecuritypolicy/rbac/{file}.yaml" for file in ("policies", "roles", "bindings")
)


@dataclass(frozen=True)
class Addon:
    """One addon of the cluster."""

    doc: str
    """What the addon is, for messages."""
    setting: str
    """Key of the setting that switches it on."""
    enabled: Callable[[Settings], bool]
    file_sets: Callable[[Settings, facts.Facts], tuple[tuple[str, ...], ...]]
    """Sets of files below the tree; the first set that is complete is used."""
    missing_note: str = ""
    """Note instead of an error if the tree has none of the sets; empty: it is an error."""


@dataclass(frozen=True, order=True)
class Object:
    """Identity of one object of the cluster; the fields are JSON keys of a record."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def same(self, other: Object) -> bool:
        """Return whether both are the same object, also with different versions of its API.

        A missing namespace matches every namespace: some manifests give a namespace to an object
        that has none, such as a storage class.
        """
        namespaces = {self.namespace, other.namespace} - {""}
        return self._key == other._key and len(namespaces) < 2

    @property
    def _key(self) -> tuple[str, ...]:
        return self.api_version.rpartition("/")[0], self.kind, self.name

    @property
    def stub(self) -> dict[str, Any]:
        """Return the fields of the object that kubectl needs to delete it."""
        namespace = {"namespace": self.namespace} if self.namespace else {}
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": {"name": self.name, **namespace},
        }


def _rbac(settings: Settings) -> bool:
    return "RBAC" in settings.api.authorization_mode


def _dns_files(settings: Settings, known: facts.Facts) -> tuple[tuple[str, ...], ...]:
    """Return the file of the DNS addon: from 1.11 on it has its own folder."""
    addon = settings.dns.addon or known.dns_addon
    folder = f"{_ADDONS}/dns"
    return (f"{folder}/{addon}/{addon}.yaml.in",), (f"{folder}/{addon}.yaml.in",)


def _storage_files(settings: Settings, _: facts.Facts) -> tuple[tuple[str, ...], ...]:
    provider = settings.start.cloud_provider or "local"
    return ((f"{_ADDONS}/storage-class/{provider}/default.yaml",),)


ADDONS = {
    "rbac": Addon(
        "RBAC rights of kube-apiserver and of nodes",
        "api.authorization_mode",
        _rbac,
        lambda *_: ((str(TEMPLATES / "rbac.yaml"),),),
    ),
    "psp": Addon(
        "pod security policies",
        "api.psp_admission",
        lambda settings: settings.api.psp_admission and _rbac(settings),
        lambda *_: (_PSP,),
        "the tree has no example policies: no pod starts until you create a policy",
    ),
    "dns": Addon("cluster DNS", "dns.enabled", lambda settings: settings.dns.enabled, _dns_files),
    "nodelocaldns": Addon(
        "DNS cache of the node",
        "dns.nodelocal",
        lambda settings: settings.dns.nodelocal,
        lambda *_: ((f"{_ADDONS}/dns/nodelocaldns/nodelocaldns.yaml",),),
    ),
    "dashboard": Addon(
        "dashboard",
        "addons.dashboard",
        lambda settings: settings.addons.dashboard,
        lambda *_: (
            (f"{_ADDONS}/dashboard/dashboard.yaml",),
            tuple(f"{_ADDONS}/dashboard/dashboard-{part}.yaml" for part in _DASHBOARD),
        ),
    ),
    "csi-snapshotter": Addon(
        "CSI volume snapshot controller",
        "addons.csi_snapshotter",
        lambda settings: settings.addons.csi_snapshotter,
        lambda *_: (_SNAPSHOTS,),
    ),
    "storage-class": Addon(
        "default storage class",
        "addons.default_storage_class",
        lambda settings: settings.addons.default_storage_class,
        _storage_files,
        "the tree has no storage class for this cloud provider",
    ),
}
"""Every addon, in the order of hack/local-up-cluster.sh."""


def render(settings: Settings, checkout: Checkout, name: str) -> str:
    """Return the manifest of an addon.

    It is empty if the addon is off. It is a comment if the files are missing in the tree and the
    addon has a `missing_note`; otherwise missing files raise a Failure that names the setting. An
    unknown placeholder raises a Failure that names the file.
    """
    addon = ADDONS[name]
    if not addon.enabled(settings):
        return ""
    file_sets = addon.file_sets(settings, facts.minor(checkout.minor))
    for names in file_sets:
        # joining with an absolute path (a file in TEMPLATES) gives this path
        paths = [checkout.tree / name for name in names]
        if all(path.is_file() for path in paths):
            return "\n---\n".join(fill(path, settings) for path in paths)
    if addon.missing_note:
        return f"# {addon.missing_note}\n"
    source = settings.source(addon.setting)
    missing = next(name for name in file_sets[0] if not (checkout.tree / name).is_file())
    raise Failure(
        f"addon {name} ({source}): {checkout.tree / missing} does not exist",
        f"switch the addon off ({addon.setting}), or use a version that has it",
    )


def objects(text: str, source: Path) -> tuple[Object, ...]:
    """Return the objects of a manifest, in its order. Raises Failure if it is not a manifest."""
    import yaml  # noqa: PLC0415 - `doit list` stays fast

    try:
        return tuple(
            Object(
                str(item["apiVersion"]),
                str(item["kind"]),
                str(item["metadata"].get("namespace", "")),
                str(item["metadata"]["name"]),
            )
            for document in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            for item in _flat(document)
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise Failure(f"{source} is not a manifest: {reason}", "correct this file") from None


def _flat(document: Any) -> Iterator[Any]:
    if document is None:
        return
    if str(document["kind"]) == "List":
        for item in document["items"] or ():
            yield from _flat(item)
    else:
        yield document
