"""Which addons a cluster is to have, and their manifests, rendered from the tree's own files.

The files lie in other places, and mark what is to be filled in otherwise, from minor to minor; the
tree itself tells, so nothing here asks for the minor.
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

OWN = ROOT / "templates" / "addons"
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
    """One addon.

    `setting` is the key that asks for it; `places` are sets of files below the tree, of which the
    first that is complete is taken; with `absent` a tree may lack them all, and that is said.
    """

    doc: str
    setting: str
    wanted: Callable[[Settings], bool]
    places: Callable[[Settings, facts.Facts], tuple[tuple[str, ...], ...]]
    absent: str = ""


@dataclass(frozen=True, order=True)
class Object:
    """What names one object of the cluster."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def same(self, other: Object) -> bool:
        """Tell whether both are one object, maybe by two versions of its API.

        Some manifests give a namespace to what has none, such as a storage class.
        """
        spaces = {self.namespace, other.namespace} - {""}
        return self._key == other._key and len(spaces) < 2

    @property
    def _key(self) -> tuple[str, ...]:
        return self.api_version.rpartition("/")[0], self.kind, self.name

    @property
    def stub(self) -> dict[str, Any]:
        """Return as much of the object as it takes to delete it."""
        space = {"namespace": self.namespace} if self.namespace else {}
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": {"name": self.name, **space},
        }


def _rbac(settings: Settings) -> bool:
    return "RBAC" in settings.api.authorization_mode


def _dns_places(settings: Settings, known: facts.Facts) -> tuple[tuple[str, ...], ...]:
    """Return where the DNS addon lies: in a folder of its own from 1.11 on."""
    addon = settings.dns.addon or known.dns_addon
    folder = f"{_ADDONS}/dns"
    return (f"{folder}/{addon}/{addon}.yaml.in",), (f"{folder}/{addon}.yaml.in",)


def _storage_places(settings: Settings, _: facts.Facts) -> tuple[tuple[str, ...], ...]:
    provider = settings.start.cloud_provider or "local"
    return ((f"{_ADDONS}/storage-class/{provider}/default.yaml",),)


ADDONS = {
    "rbac": Addon(
        "rights of kube-apiserver and of nodes",
        "api.authorization_mode",
        _rbac,
        lambda *_: ((str(OWN / "rbac.yaml"),),),
    ),
    "psp": Addon(
        "pod security policies",
        "api.psp_admission",
        lambda settings: settings.api.psp_admission and _rbac(settings),
        lambda *_: (_PSP,),
        "the tree has no example policies: no pod starts until you make some",
    ),
    "dns": Addon("cluster DNS", "dns.enabled", lambda settings: settings.dns.enabled, _dns_places),
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
        _storage_places,
        "the tree has no storage class for this cloud provider",
    ),
}
"""Every addon, in the order of hack/local-up-cluster.sh."""


def render(settings: Settings, checkout: Checkout, name: str) -> str:
    """Return an addon's manifest: empty when it is not wanted, a remark where a tree may lack it.

    Raises Failure naming the setting when the tree has no such addon, and the file when it holds a
    placeholder that is not known.
    """
    addon = ADDONS[name]
    if not addon.wanted(settings):
        return ""
    places = addon.places(settings, facts.minor(checkout.minor))
    for names in places:
        # an absolute path is one of the tool's own files
        paths = [checkout.tree / name for name in names]
        if all(path.is_file() for path in paths):
            return "\n---\n".join(fill(path, settings) for path in paths)
    if addon.absent:
        return f"# {addon.absent}\n"
    source = settings.source(addon.setting)
    missing = next(name for name in places[0] if not (checkout.tree / name).is_file())
    raise Failure(
        f"addon {name} ({source}): {checkout.tree / missing} does not exist",
        f"switch it off ({addon.setting}), or choose a version that has it",
    )


def objects(text: str, source: Path) -> tuple[Object, ...]:
    """Return the objects a manifest makes, in its order. Raises Failure when it is not YAML."""
    import yaml  # noqa: PLC0415 - `doit list` stays fast

    try:
        return tuple(
            Object(
                str(one["apiVersion"]),
                str(one["kind"]),
                str(one["metadata"].get("namespace", "")),
                str(one["metadata"]["name"]),
            )
            for document in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            for one in _flat(document)
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        where = " ".join(str(error).split())
        raise Failure(f"{source} is not a manifest: {where}", "correct the line it names") from None


def _flat(document: Any) -> Iterator[Any]:
    if document is None:
        return
    if str(document["kind"]) == "List":
        for one in document["items"] or ():
            yield from _flat(one)
    else:
        yield document
