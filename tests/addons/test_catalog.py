"""Addons: manifests from trees of several minors, and the calls of kubectl for them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.addons import catalog
from tasks.addons import tasks as addons
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.tree import Checkout
from tasks.settings import load as settings
from tasks.settings.load import Settings
from tasks.system import files, process, procfs

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


def rendered(root: Path, minor: str, name: str, **environ: str) -> list[dict[str, Any]]:
    text = catalog.render(load(**environ), tree(root, minor), name)
    return [document for document in yaml.safe_load_all(text) if document]


def names(documents: list[dict[str, Any]]) -> list[str]:
    return [document["metadata"]["name"] for document in documents]


@pytest.mark.parametrize("minor", ["1.10", "1.11", "1.15", "1.19", "1.20", "1.24", "1.35"])
@pytest.mark.parametrize("addon", ["kube-dns", "coredns"])
def test_dns_placeholders_of_every_minor_are_replaced(
    tmp_path: Path, minor: str, addon: str
) -> None:
    service, config = rendered(
        tmp_path,
        minor,
        "dns",
        DNS_ADDON=addon,
        KUBE_DNS_SERVER_IP="10.0.0.53",
        KUBE_DNS_NAME="corp.example",
        KUBE_DNS_MEMORY_LIMIT="1Gi",
    )
    assert service["spec"]["clusterIP"] == "10.0.0.53"
    assert config["metadata"]["name"] == addon
    assert config["data"]["Corefile"] == "kubernetes corp.example in-addr.arpa {\n}\n"
    assert config["data"]["limit"] == "1Gi"


@pytest.mark.parametrize(("minor", "addon"), [("1.20", "kube-dns"), ("1.24", "coredns")])
def test_the_default_dns_addon_is_that_of_the_script(
    tmp_path: Path, minor: str, addon: str
) -> None:
    assert addon in names(rendered(tmp_path, minor, "dns"))


@pytest.mark.parametrize("placeholders", [PILLAR, BARE, UNDERSCORES, SHELL])
def test_every_form_of_a_placeholder_is_replaced(
    tmp_path: Path, placeholders: dict[str, str]
) -> None:
    checkout = tree(tmp_path, "1.20")
    write(tmp_path / "cluster/addons/dns/kube-dns/kube-dns.yaml.in", dns("kube-dns", placeholders))
    text = catalog.render(load(), checkout, "dns")
    assert yaml.safe_load(text.split("---")[0])["spec"]["clusterIP"] == "10.0.0.10"
    assert "cluster.local in-addr.arpa" in text


@pytest.mark.parametrize(
    "placeholder", ["__PILLAR__DNS__PORT__", "{{ pillar['dns_port'] }}", "$DNS_PORT", "dns_port"]
)
def test_an_unknown_placeholder_names_the_file(tmp_path: Path, placeholder: str) -> None:
    checkout = tree(tmp_path, "1.20")
    file = tmp_path / "cluster/addons/dns/kube-dns/kube-dns.yaml.in"
    file.write_text(f"{SERVICE % BARE}  port: {placeholder}\n")
    with pytest.raises(Failure) as caught:
        catalog.render(load(), checkout, "dns")
    assert str(file) in caught.value.message and placeholder in caught.value.message


def test_placeholders_of_the_dns_cache_are_kept(tmp_path: Path) -> None:
    (config,) = rendered(
        tmp_path,
        "1.20",
        "nodelocaldns",
        KUBE_ENABLE_NODELOCAL_DNS="true",
        KUBE_LOCAL_DNS_IP="169.254.1.1",
    )
    assert config["data"]["Corefile"] == (
        "cluster.local:53 {\n    bind 169.254.1.1 10.0.0.10\n"
        "    forward . __PILLAR__CLUSTER__DNS__ __PILLAR__UPSTREAM__SERVERS__\n}\n"
    )


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("KUBE_DNS_SERVER_IP", "ten", "is not an IP address"),
        ("KUBE_DNS_SERVER_IP", "10.9.0.10", "is not an address in 10.0.0.0/24"),
        ("KUBE_DNS_NAME", "a: b", "is not a domain"),
        ("KUBE_DNS_MEMORY_LIMIT", "170 MB", "is not a quantity"),
    ],
)
def test_an_invalid_value_names_its_variable(
    tmp_path: Path, variable: str, value: str, expected: str
) -> None:
    with pytest.raises(Failure, match=expected) as caught:
        rendered(tmp_path, "1.20", "dns", **{variable: value})
    assert f"the environment ({variable})" in caught.value.message


@pytest.mark.parametrize(
    ("minor", "expected"), [("1.10", [*DASHBOARD]), ("1.15", [*DASHBOARD]), ("1.20", ["dashboard"])]
)
def test_the_dashboard_is_one_file_or_five(tmp_path: Path, minor: str, expected: list[str]) -> None:
    made = rendered(tmp_path, minor, "dashboard", KUBE_ENABLE_CLUSTER_DASHBOARD="true")
    assert names(made) == expected


@pytest.mark.parametrize(
    ("minor", "name", "variable"),
    [
        ("1.24", "dashboard", "KUBE_ENABLE_CLUSTER_DASHBOARD"),
        ("1.15", "csi-snapshotter", "ENABLE_CSI_SNAPSHOTTER"),
        ("1.12", "nodelocaldns", "KUBE_ENABLE_NODELOCAL_DNS"),
    ],
)
def test_an_addon_that_the_tree_does_not_have_is_refused(
    tmp_path: Path, minor: str, name: str, variable: str
) -> None:
    with pytest.raises(Failure, match="does not exist") as caught:
        rendered(tmp_path, minor, name, **{variable: "true"})
    assert f"addon {name} (the environment ({variable}))" in caught.value.message
    assert str(tmp_path / "cluster/addons") in caught.value.message


def test_the_snapshotter_creates_its_types_first(tmp_path: Path) -> None:
    made = names(rendered(tmp_path, "1.20", "csi-snapshotter", ENABLE_CSI_SNAPSHOTTER="true"))
    assert made[0] == "snapshot.storage.k8s.io-volumesnapshots" and len(made) == 5
    assert made[-1] == "volume-snapshot-controller-deployment"


def test_policies_if_the_tree_has_examples(tmp_path: Path) -> None:
    on = {"PSP_ADMISSION": "true"}
    assert names(rendered(tmp_path / "a", "1.10", "psp", **on)) == ["policies", "roles", "bindings"]
    assert rendered(tmp_path / "a", "1.10", "psp") == []
    assert rendered(tmp_path / "a", "1.10", "psp", AUTHORIZATION_MODE="Node", **on) == []
    text = catalog.render(load(**on), tree(tmp_path / "b", "1.20"), "psp")
    assert text.startswith("# ") and "no pod starts" in text


def test_the_storage_class_depends_on_the_cloud_provider(tmp_path: Path) -> None:
    checkout = tree(tmp_path, "1.20")
    gce = tmp_path / "cluster/addons/storage-class/gce/default.yaml"
    gce.write_text(CLASS.replace("standard", "gce"))
    for cloud, name in (("", "standard"), ("gce", "gce")):
        text = catalog.render(load(CLOUD_PROVIDER=cloud), checkout, "storage-class")
        assert yaml.safe_load(text)["metadata"]["name"] == name
    text = catalog.render(load(CLOUD_PROVIDER="nebula"), checkout, "storage-class")
    assert text == f"# {catalog.ADDONS['storage-class'].missing_note}\n" and "storage class" in text
    off = load(KUBE_DEFAULT_STORAGE_CLASS="false")
    assert catalog.render(off, checkout, "storage-class") == ""


def test_rights_only_with_rbac(tmp_path: Path) -> None:
    made = rendered(tmp_path, "1.20", "rbac")
    assert [(item["metadata"]["name"], item["roleRef"]["name"]) for item in made] == [
        ("kube-apiserver-kubelet-admin", "system:kubelet-api-admin"),
        ("kubelet-csr", "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient"),
    ]
    assert rendered(tmp_path, "1.20", "rbac", AUTHORIZATION_MODE="AlwaysAllow") == []


def test_objects_of_lists_and_of_damaged_manifests() -> None:
    text = f"{simple('a')}---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- "
    text += simple("b").strip().replace("\n", "\n  ")
    assert [item.name for item in catalog.objects(text, Path("x"))] == ["a", "b"]
    for damaged in ("a: [", "kind: Service\n", "- 1\n"):
        with pytest.raises(Failure, match=r"^/the/file is not"):
            catalog.objects(damaged, Path("/the/file"))


KUBECTL = """#!/bin/sh
# fake kubectl: records its arguments, and fails with the next line of `answers`
shift
echo "$@" >> {folder}/arguments
case "$*" in *"-f -"*) cat >> {folder}/stdin ;; esac
read answer < {folder}/answers && sed -i 1d {folder}/answers
[ -z "$answer" ] || {{ echo "$answer" >&2; exit 1; }}
"""


class Workspace:
    """An instance whose etcd is the process of this test and whose kubectl is a script."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.chosen = folder, load(str(folder / "home"))
        files.write_json(
            self.chosen.paths.lock,
            {
                "tree": str(folder / "tree"),
                "version": "v1.20.2",
                "commit": "",
                "origin": "",
                "requested": "",
            },
        )
        tree(folder / "tree", "1.20")
        kubectl = folder / "kubectl"
        kubectl.write_text(KUBECTL.format(folder=folder))
        kubectl.chmod(0o755)
        (folder / "answers").write_text("")
        record = {"module": "kubectl", "path": str(kubectl), "digest": "", "go": "", "version": ""}
        files.write_json(self.chosen.paths.built("kubectl"), record)
        self.etcd(os.getpid())

    def etcd(self, pid: int) -> None:
        """Record a process as the running etcd."""
        identity, exe = procfs.identify(pid), procfs.executable(pid)
        assert identity is not None and exe is not None
        record = process.Record("etcd", identity, (), {}, "/", 0, exe, 0.0, "", "")
        process.save(self.chosen.paths.run, record)

    def answer(self, *lines: str) -> None:
        """Let the next calls of kubectl fail with these lines; an empty line is success."""
        (self.folder / "answers").write_text("".join(f"{line}\n" for line in lines))

    def calls(self) -> list[str]:
        """Return the arguments of kubectl, up to -f, of the calls since the last look."""
        file = self.folder / "arguments"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [line.split(" -f ")[0] for line in lines]

    def deleted(self) -> list[str]:
        """Return kind and name of the objects that kubectl got for deletion, in this order."""
        text = (self.folder / "stdin").read_text()
        (self.folder / "stdin").unlink()
        return [f"{item['kind']}/{item['metadata']['name']}" for item in json.loads(text)["items"]]

    def up(self, name: str, **environ: str) -> str:
        """Render and apply like doit; return the message of a failure."""
        chosen = load(str(self.folder / "home"), **environ)
        assert addons.render(chosen, name) is None
        if addons.is_applied(chosen, name):
            return ""
        failed = addons.apply(chosen, name)
        return failed.get_msg() if failed else ""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_an_unchanged_addon_is_applied_once(workspace: Workspace) -> None:
    assert workspace.up("dns") == ""
    assert workspace.calls() == ["apply"]
    assert workspace.up("dns") == ""
    assert workspace.calls() == []
    assert workspace.up("dns", KUBE_DNS_MEMORY_LIMIT="200Mi") == ""
    assert workspace.calls() == ["apply"]


def test_kubectl_is_not_called_for_an_addon_that_is_off(workspace: Workspace) -> None:
    assert workspace.up("dashboard") == ""
    assert workspace.calls() == []


def test_another_dns_addon_removes_the_objects_of_the_first(workspace: Workspace) -> None:
    workspace.up("dns")
    assert workspace.up("dns", DNS_ADDON="coredns") == ""
    assert workspace.calls()[1:] == ["apply", "delete"]
    assert workspace.deleted() == ["ConfigMap/kube-dns"]


def test_an_object_with_another_api_version_is_not_removed(workspace: Workspace) -> None:
    file = workspace.folder / "tree/cluster/addons/storage-class/local/default.yaml"
    workspace.up("storage-class")
    file.write_text(
        CLASS.replace("{name: standard}", "{name: standard, namespace: kube-system}").replace(
            "storage.k8s.io/v1", "storage.k8s.io/v1beta1"
        )
    )
    assert workspace.up("storage-class") == ""
    assert workspace.calls() == ["apply", "apply"]


def test_objects_of_two_namespaces_are_different() -> None:
    one = catalog.Object("apps/v1", "Deployment", "a", "x")
    assert not one.same(catalog.Object("apps/v1", "Deployment", "b", "x"))
    assert not one.same(catalog.Object("v1", "Deployment", "a", "x"))


def test_switching_off_removes_all_objects(workspace: Workspace) -> None:
    workspace.up("dns")
    assert workspace.up("dns", KUBE_ENABLE_CLUSTER_DNS="false") == ""
    assert workspace.calls() == ["apply", "delete"]
    assert workspace.deleted() == ["ConfigMap/kube-dns", "Service/kube-dns"]
    assert addons.load(workspace.chosen, "dns") is None
    assert workspace.up("dns", KUBE_ENABLE_CLUSTER_DNS="false") == ""
    assert workspace.calls() == []


def test_objects_of_a_failed_run_are_removed_too(workspace: Workspace) -> None:
    workspace.up("dns")
    workspace.answer("the server is on fire")
    message = workspace.up("dns", DNS_ADDON="coredns")
    assert "addon dns" in message and "on fire" in message
    assert str(workspace.chosen.paths.log("addons")) in message
    assert "on fire" in workspace.chosen.paths.log("addons").read_text()
    assert workspace.up("dns", KUBE_ENABLE_CLUSTER_DNS="false") == ""
    assert sorted(workspace.deleted()) == [
        "ConfigMap/coredns",
        "ConfigMap/kube-dns",
        "Service/kube-dns",
    ]


def test_a_failed_run_is_repeated(workspace: Workspace) -> None:
    workspace.answer("no")
    assert workspace.up("dns")
    assert workspace.up("dns") == ""
    assert workspace.calls() == ["apply", "apply"]


def test_a_restart_of_etcd_applies_the_addon_again(workspace: Workspace) -> None:
    workspace.up("dns")
    workspace.etcd(os.getppid())
    assert workspace.up("dns") == ""
    assert workspace.calls() == ["apply", "apply"]


@pytest.mark.parametrize(
    "error",
    [
        "spec.clusterIPs[0]: Invalid value: may not change once set",
        "field is immutable",
        "provisioner: Forbidden: updates to provisioner are forbidden.",
    ],
)
def test_an_immutable_object_is_replaced(workspace: Workspace, error: str) -> None:
    workspace.answer(error)
    assert workspace.up("dns") == ""
    assert workspace.calls() == ["apply", "replace --force --save-config"]


def test_apply_waits_for_the_namespace(workspace: Workspace) -> None:
    workspace.answer('Error from server: namespaces "kube-system" not found', "")
    assert workspace.up("dns") == ""
    assert workspace.calls() == ["apply", "apply"]


def test_objects_of_a_removed_api_count_as_deleted(workspace: Workspace) -> None:
    workspace.up("dns")
    workspace.answer('error: unable to recognize "STDIN": no matches for kind "X" in "y/v1"')
    assert workspace.up("dns", KUBE_ENABLE_CLUSTER_DNS="false") == ""
    assert addons.load(workspace.chosen, "dns") is None


def test_a_missing_note_is_printed_once(workspace: Workspace) -> None:
    psp = {"PSP_ADMISSION": "true"}
    assert workspace.up("psp", **psp) == ""
    assert workspace.calls() == []
    assert addons.is_applied(load(str(workspace.folder / "home"), **psp), "psp")


def test_forget_deletes_the_records(workspace: Workspace) -> None:
    workspace.up("dns")
    addons.forget(workspace.chosen)
    assert addons.load(workspace.chosen, "dns") is None
    assert not addons.is_applied(workspace.chosen, "dns")
