"""Trees with the manifests of addons, as each minor has them."""

from pathlib import Path

from tasks.addons import catalog
from tasks.kubernetes import facts
from tasks.kubernetes.tree import Checkout
from tasks.settings import load as settings
from tasks.settings.load import Settings

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: %(server)s
"""


MAP = """\
---
apiVersion: v1
kind: ConfigMap
metadata: {name: %(name)s, namespace: kube-system}
data:
  Corefile: |
    kubernetes %(domain)s in-addr.arpa {
    }
  limit: %(limit)s
"""


PILLAR = {
    "server": "{{ pillar['dns_server'] }}",
    "domain": "{{ pillar['dns_domain'] }}",
    "limit": "{{ pillar['dns_memory_limit'] }}",
}


BARE = {"server": "'dns_server'", "domain": "dns_domain", "limit": "'dns_memory_limit'"}


UNDERSCORES = {"server": "__PILLAR__DNS__SERVER__", "domain": "__DNS__DOMAIN__", "limit": "1"}


SHELL = {"server": "$DNS_SERVER_IP", "domain": "$DNS_DOMAIN", "limit": "$DNS_MEMORY_LIMIT"}


LOCAL = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: node-local-dns, namespace: kube-system}
data:
  Corefile: |
    __PILLAR__DNS__DOMAIN__:53 {
        bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
        forward . __PILLAR__CLUSTER__DNS__ __PILLAR__UPSTREAM__SERVERS__
    }
"""


CLASS = "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: standard}\n"


DASHBOARD = ("secret", "configmap", "rbac", "controller", "service")


def dns(addon: str, placeholders: dict[str, str]) -> str:
    return (SERVICE + MAP) % {**placeholders, "name": addon}


def simple(name: str, kind: str = "ConfigMap") -> str:
    return f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: kube-system}}\n"


def tree(root: Path, minor: str) -> Checkout:
    """Write the addon files of a minor with its paths and placeholders."""
    number = facts.parse(minor)
    texts = {"storage-class/local/default.yaml": CLASS, "storage-class/gce/default.yaml": CLASS}
    for addon in ("kube-dns", "coredns"):
        folder = "" if number < (1, 11) else f"{addon}/"
        placeholders = PILLAR if number < (1, 20) else BARE
        texts[f"dns/{folder}{addon}.yaml.in"] = dns(addon, placeholders)
        texts[f"dns/{folder}{addon}.yaml.sed"] = dns(addon, SHELL)
    if number >= (1, 13):
        texts["dns/nodelocaldns/nodelocaldns.yaml"] = LOCAL
    if number < (1, 16):
        texts |= {f"dashboard/dashboard-{part}.yaml": simple(part) for part in DASHBOARD}
    elif number < (1, 24):
        texts["dashboard/dashboard.yaml"] = simple("dashboard")
    for name, text in texts.items():
        write(root / "cluster/addons" / name, text)
    if number >= (1, 19):
        for name in catalog.ADDONS["csi-snapshotter"].file_sets(load(), facts.minor(minor))[0]:
            write(root / name, simple(Path(name).stem.replace("_", "-")))
    if number < (1, 11):
        for name in ("policies", "roles", "bindings"):
            write(root / f"examples/podsecuritypolicy/rbac/{name}.yaml", simple(name))
    return Checkout(root, f"v{minor}.0", "", "", "")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def load(home: str = "/workspace", **environ: str) -> Settings:
    return settings.load({"STEPKUBE_HOME": home, **environ}, {}, Path("/none.yaml"))
