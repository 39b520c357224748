"""Which addons a cluster is to have, and their manifests, rendered from the tree's own files.

The files lie in other places, and mark what is to be filled in otherwise, from minor to minor; the
tree itself tells, so nothing here asks for the minor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from operator import attrgetter
from pathlib import Path
from typing import Any

from tasks import facts
from tasks.access.kubeconfig import address, refusal
from tasks.failure import Failure
from tasks.settings import ROOT, Settings
from tasks.tree import Checkout

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
# {{ pillar['dns_server'] }}, __PILLAR__DNS__SERVER__, __DNS__SERVER__, $DNS_SERVER_IP, dns_server
_PLACEHOLDER = re.compile(
    r"\{\{\s*pillar\['(\w+)'\]\s*\}\}|__(?:PILLAR__)?([A-Z]+(?:_+[A-Z]+)*)__"
    r"|\$(DNS_[A-Z_]+)|\b(dns_[a-z_]+)\b"
)
_FILLED_LATER = {"cluster_dns", "upstream_servers"}
"""Placeholders that the pod of the node's DNS cache fills in itself."""
_QUANTITY = re.compile(r"\d+(\.\d+)?([KMGTPE]i|[kMGTPE])?")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


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


def _rbac(chosen: Settings) -> bool:
    return "RBAC" in chosen.api.authorization_mode


def _dns_places(chosen: Settings, known: facts.Facts) -> tuple[tuple[str, ...], ...]:
    """Return where the DNS addon lies: in a folder of its own from 1.11 on."""
    addon = chosen.dns.addon or known.dns_addon
    folder = f"{_ADDONS}/dns"
    return (f"{folder}/{addon}/{addon}.yaml.in",), (f"{folder}/{addon}.yaml.in",)


def _storage_places(chosen: Settings, _: facts.Facts) -> tuple[tuple[str, ...], ...]:
    provider = chosen.start.cloud_provider or "local"
    return ((f"{_ADDONS}/storage-class/{provider}/default.yaml",),)


ADDONS = {
    "rbac": Addon(
        "rights of kube-apiserver and of nodes", "api.authorization_mode", _rbac,
        lambda *_: ((str(OWN / "rbac.yaml"),),),
    ),
    "psp": Addon(
        "pod security policies", "api.psp_admission",
        lambda chosen: chosen.api.psp_admission and _rbac(chosen),
        lambda *_: (_PSP,),
        "the tree has no example policies: no pod starts until you make some",
    ),
    "dns": Addon(
        "cluster DNS", "dns.enabled", lambda chosen: chosen.dns.enabled, _dns_places
    ),
    "nodelocaldns": Addon(
        "DNS cache of the node", "dns.nodelocal", lambda chosen: chosen.dns.nodelocal,
        lambda *_: ((f"{_ADDONS}/dns/nodelocaldns/nodelocaldns.yaml",),),
    ),
    "dashboard": Addon(
        "dashboard", "addons.dashboard", lambda chosen: chosen.addons.dashboard,
        lambda *_: (
            (f"{_ADDONS}/dashboard/dashboard.yaml",),
            tuple(f"{_ADDONS}/dashboard/dashboard-{part}.yaml" for part in _DASHBOARD),
        ),
    ),
    "csi-snapshotter": Addon(
        "CSI volume snapshot controller", "addons.csi_snapshotter",
        lambda chosen: chosen.addons.csi_snapshotter, lambda *_: (_SNAPSHOTS,),
    ),
    "storage-class": Addon(
        "default storage class", "addons.default_storage_class",
        lambda chosen: chosen.addons.default_storage_class, _storage_places,
        "the tree has no storage class for this cloud provider",
    ),
}  # fmt: skip
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
    source = settings.sources.get(addon.setting, addon.setting)
    missing = next(name for name in places[0] if not (checkout.tree / name).is_file())
    raise Failure(
        f"addon {name} ({source}): {checkout.tree / missing} does not exist",
        f"switch it off ({addon.setting}), or choose a version that has it",
    )


def fill(path: Path, settings: Settings) -> str:
    """Return a file of the tree with its placeholders filled in."""
    unknown: list[str] = []

    def value(found: re.Match[str]) -> str:
        name = re.sub("_+", "_", next(filter(None, found.groups()))).lower()
        if name in _VALUES:
            return _VALUES[name](settings)
        if name not in _FILLED_LATER:
            unknown.append(found[0])
        return found[0]

    text = _PLACEHOLDER.sub(value, path.read_text())
    if unknown:
        raise Failure(
            f"{path} has placeholders that are not known here: {', '.join(sorted(set(unknown)))}",
            "fill them in by hand, or switch the addon off",
        )
    return text


def objects(text: str, source: Path) -> tuple[Object, ...]:
    """Return the objects a manifest makes, in its order. Raises Failure when it is not YAML."""
    import yaml  # noqa: PLC0415 - `doit list` stays fast

    try:
        return tuple(
            Object(
                str(one["apiVersion"]), str(one["kind"]),
                str(one["metadata"].get("namespace", "")), str(one["metadata"]["name"]),
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


def _dns_server(settings: Settings) -> str:
    """Return the address of the DNS service, which the cluster's range must hold."""
    server = address(settings, "dns.server_ip")
    ranges = settings.api.service_cluster_ip_range
    with suppress(ValueError):  # kube-apiserver has refused a range that is none
        nets = [ip_network(one.strip(), strict=False) for one in ranges.split(",")]
        if not any(ip_address(server) in net for net in nets):
            hint = "choose another one, or change SERVICE_CLUSTER_IP_RANGE"
            raise refusal(settings, "dns.server_ip", f"an address in {ranges}", hint)
    return server


def _dns_domain(settings: Settings) -> str:
    return _checked(settings, "dns.domain", _DOMAIN, "a domain", "for example: cluster.local")


def _dns_memory_limit(settings: Settings) -> str:
    return _checked(settings, "dns.memory_limit", _QUANTITY, "a quantity", "for example: 170Mi")


_VALUES: dict[str, Callable[[Settings], str]] = {
    "dns_server": _dns_server,
    "dns_server_ip": _dns_server,
    "dns_domain": _dns_domain,
    "dns_memory_limit": _dns_memory_limit,
    "local_dns": lambda settings: address(settings, "dns.local_ip"),
}
"""What the placeholders stand for, checked: it goes into YAML unquoted."""


def _checked(
    settings: Settings, key: str, form: re.Pattern[str], expected: str, hint: str
) -> str:
    value = str(attrgetter(key)(settings))
    if form.fullmatch(value) is None:
        raise refusal(settings, key, expected, hint)
    return value
