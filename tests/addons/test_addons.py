"""Addons: manifests out of trees of several eras, and what is asked of the cluster for them."""

import json
import os
from pathlib import Path

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
MARKED = {"server": "__PILLAR__DNS__SERVER__", "domain": "__DNS__DOMAIN__", "limit": "1"}
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


def dns(addon: str, marks: dict[str, str]) -> str:
    return (SERVICE + MAP) % {**marks, "name": addon}


def simple(name: str, kind: str = "ConfigMap") -> str:
    return f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: kube-system}}\n"


def tree(root: Path, minor: str) -> Checkout:
    """Write the addon files of a minor, where and as that minor has them."""
    number = facts.parse(minor)
    texts = {"storage-class/local/default.yaml": CLASS, "storage-class/gce/default.yaml": CLASS}
    for addon in ("kube-dns", "coredns"):
        folder = "" if number < (1, 11) else f"{addon}/"
        marks = PILLAR if number < (1, 20) else BARE
        texts[f"dns/{folder}{addon}.yaml.in"] = dns(addon, marks)
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
        for name in catalog.ADDONS["csi-snapshotter"].places(load(), facts.minor(minor))[0]:
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


def rendered(root: Path, minor: str, name: str, **environ: str) -> list[dict]:
    text = catalog.render(load(**environ), tree(root, minor), name)
    return [document for document in yaml.safe_load_all(text) if document]


def names(documents: list[dict]) -> list[str]:
    return [document["metadata"]["name"] for document in documents]


@pytest.mark.parametrize("minor", ["1.10", "1.11", "1.15", "1.19", "1.20", "1.24", "1.35"])
@pytest.mark.parametrize("addon", ["kube-dns", "coredns"])
def test_dns_of_every_era_is_filled_in(tmp_path: Path, minor: str, addon: str) -> None:
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
def test_the_dns_addon_is_the_scripts_unless_one_is_named(
    tmp_path: Path, minor: str, addon: str
) -> None:
    assert addon in names(rendered(tmp_path, minor, "dns"))


@pytest.mark.parametrize("marks", [PILLAR, BARE, MARKED, SHELL])
def test_every_way_to_write_a_placeholder(tmp_path: Path, marks: dict[str, str]) -> None:
    checkout = tree(tmp_path, "1.20")
    write(tmp_path / "cluster/addons/dns/kube-dns/kube-dns.yaml.in", dns("kube-dns", marks))
    text = catalog.render(load(), checkout, "dns")
    assert yaml.safe_load(text.split("---")[0])["spec"]["clusterIP"] == "10.0.0.10"
    assert "cluster.local in-addr.arpa" in text


@pytest.mark.parametrize(
    "mark", ["__PILLAR__DNS__PORT__", "{{ pillar['dns_port'] }}", "$DNS_PORT", "dns_port"]
)
def test_an_unknown_placeholder_names_the_file(tmp_path: Path, mark: str) -> None:
    checkout = tree(tmp_path, "1.20")
    file = tmp_path / "cluster/addons/dns/kube-dns/kube-dns.yaml.in"
    file.write_text(f"{SERVICE % BARE}  port: {mark}\n")
    with pytest.raises(Failure) as caught:
        catalog.render(load(), checkout, "dns")
    assert str(file) in caught.value.message and mark in caught.value.message


def test_the_cache_of_the_node_fills_in_the_rest_itself(tmp_path: Path) -> None:
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
def test_a_value_that_cannot_be_filled_in_names_its_variable(
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
def test_an_addon_the_tree_does_not_have_is_refused(
    tmp_path: Path, minor: str, name: str, variable: str
) -> None:
    with pytest.raises(Failure, match="does not exist") as caught:
        rendered(tmp_path, minor, name, **{variable: "true"})
    assert f"addon {name} (the environment ({variable}))" in caught.value.message
    assert str(tmp_path / "cluster/addons") in caught.value.message


def test_the_snapshotter_has_its_types_first(tmp_path: Path) -> None:
    made = names(rendered(tmp_path, "1.20", "csi-snapshotter", ENABLE_CSI_SNAPSHOTTER="true"))
    assert made[0] == "snapshot.storage.k8s.io-volumesnapshots" and len(made) == 5
    assert made[-1] == "volume-snapshot-controller-deployment"


def test_policies_where_the_tree_has_examples(tmp_path: Path) -> None:
    on = {"PSP_ADMISSION": "true"}
    assert names(rendered(tmp_path / "a", "1.10", "psp", **on)) == ["policies", "roles", "bindings"]
    assert rendered(tmp_path / "a", "1.10", "psp") == []
    assert rendered(tmp_path / "a", "1.10", "psp", AUTHORIZATION_MODE="Node", **on) == []
    text = catalog.render(load(**on), tree(tmp_path / "b", "1.20"), "psp")
    assert text.startswith("# ") and "no pod starts" in text


def test_the_storage_class_is_the_clouds(tmp_path: Path) -> None:
    checkout = tree(tmp_path, "1.20")
    gce = tmp_path / "cluster/addons/storage-class/gce/default.yaml"
    gce.write_text(CLASS.replace("standard", "gce"))
    for cloud, name in (("", "standard"), ("gce", "gce")):
        text = catalog.render(load(CLOUD_PROVIDER=cloud), checkout, "storage-class")
        assert yaml.safe_load(text)["metadata"]["name"] == name
    text = catalog.render(load(CLOUD_PROVIDER="nebula"), checkout, "storage-class")
    assert text == "# the tree has no storage class for this cloud provider\n"
    off = load(KUBE_DEFAULT_STORAGE_CLASS="false")
    assert catalog.render(off, checkout, "storage-class") == ""


def test_rights_only_where_they_are_looked_at(tmp_path: Path) -> None:
    made = rendered(tmp_path, "1.20", "rbac")
    assert [(one["metadata"]["name"], one["roleRef"]["name"]) for one in made] == [
        ("kube-apiserver-kubelet-admin", "system:kubelet-api-admin"),
        ("kubelet-csr", "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient"),
    ]
    assert rendered(tmp_path, "1.20", "rbac", AUTHORIZATION_MODE="AlwaysAllow") == []


def test_objects_of_lists_and_of_damaged_manifests() -> None:
    text = f"{simple('a')}---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- "
    text += simple("b").strip().replace("\n", "\n  ")
    assert [one.name for one in catalog.objects(text, Path("x"))] == ["a", "b"]
    for damaged in ("a: [", "kind: Service\n", "- 1\n"):
        with pytest.raises(Failure, match=r"/the/file is not a manifest"):
            catalog.objects(damaged, Path("/the/file"))


KUBECTL = """#!/bin/sh
# stands in for kubectl: notes what it is asked, and fails as the next line of `answers` says
shift
echo "$@" >> {folder}/asked
case "$*" in *"-f -"*) cat >> {folder}/stdin ;; esac
read answer < {folder}/answers && sed -i 1d {folder}/answers
[ -z "$answer" ] || {{ echo "$answer" >&2; exit 1; }}
"""


class Workspace:
    """An instance whose etcd is this very process and whose kubectl is a script."""

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
        """Let a process be the etcd that runs."""
        identity, exe = procfs.identify(pid), procfs.executable(pid)
        assert identity is not None and exe is not None
        record = process.Record("etcd", identity, (), {}, "/", 0, exe, 0.0, "", "")
        process.save(self.chosen.paths.run, record)

    def answer(self, *lines: str) -> None:
        """Let kubectl fail with these words, one call after the other; an empty one is success."""
        (self.folder / "answers").write_text("".join(f"{line}\n" for line in lines))

    def asked(self) -> list[str]:
        """Return what kubectl was asked since the last look."""
        file = self.folder / "asked"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [line.split(" -f ")[0] for line in lines]

    def deleted(self) -> list[str]:
        """Return kind and name of what kubectl was told to delete, the last list first."""
        text = (self.folder / "stdin").read_text()
        (self.folder / "stdin").unlink()
        return [f"{one['kind']}/{one['metadata']['name']}" for one in json.loads(text)["items"]]

    def bring(self, name: str, **environ: str) -> str:
        """Render and apply as doit would; return the words of a failure."""
        chosen = load(str(self.folder / "home"), **environ)
        assert addons.render(chosen, name) is None
        if addons.Applied(chosen, name)():
            return ""
        failed = addons.apply(chosen, name)
        return failed.get_msg() if failed else ""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_the_cluster_is_asked_once(workspace: Workspace) -> None:
    assert workspace.bring("dns") == ""
    assert workspace.asked() == ["apply"]
    assert workspace.bring("dns") == ""
    assert workspace.asked() == []
    assert workspace.bring("dns", KUBE_DNS_MEMORY_LIMIT="200Mi") == ""
    assert workspace.asked() == ["apply"]


def test_what_was_never_wanted_is_never_asked_for(workspace: Workspace) -> None:
    assert workspace.bring("dashboard") == ""
    assert workspace.asked() == []


def test_another_addon_removes_what_the_first_made_beyond_it(workspace: Workspace) -> None:
    workspace.bring("dns")
    assert workspace.bring("dns", DNS_ADDON="coredns") == ""
    assert workspace.asked()[1:] == ["apply", "delete"]
    assert workspace.deleted() == ["ConfigMap/kube-dns"]


def test_one_object_written_two_ways_is_not_removed(workspace: Workspace) -> None:
    file = workspace.folder / "tree/cluster/addons/storage-class/local/default.yaml"
    workspace.bring("storage-class")
    file.write_text(
        CLASS.replace("{name: standard}", "{name: standard, namespace: kube-system}").replace(
            "storage.k8s.io/v1", "storage.k8s.io/v1beta1"
        )
    )
    assert workspace.bring("storage-class") == ""
    assert workspace.asked() == ["apply", "apply"]


def test_objects_of_two_namespaces_are_two() -> None:
    one = catalog.Object("apps/v1", "Deployment", "a", "x")
    assert not one.same(catalog.Object("apps/v1", "Deployment", "b", "x"))
    assert not one.same(catalog.Object("v1", "Deployment", "a", "x"))


def test_switching_off_removes_all_it_made(workspace: Workspace) -> None:
    workspace.bring("dns")
    assert workspace.bring("dns", KUBE_ENABLE_CLUSTER_DNS="false") == ""
    assert workspace.asked() == ["apply", "delete"]
    assert workspace.deleted() == ["ConfigMap/kube-dns", "Service/kube-dns"]
    assert addons.load(workspace.chosen, "dns") is None
    assert workspace.bring("dns", KUBE_ENABLE_CLUSTER_DNS="false") == ""
    assert workspace.asked() == []


def test_what_a_failed_run_may_have_made_is_removed_too(workspace: Workspace) -> None:
    workspace.bring("dns")
    workspace.answer("the server is on fire")
    said = workspace.bring("dns", DNS_ADDON="coredns")
    assert "the addon dns" in said and "on fire" in said
    assert str(workspace.chosen.paths.log("addons")) in said
    assert "on fire" in workspace.chosen.paths.log("addons").read_text()
    assert workspace.bring("dns", KUBE_ENABLE_CLUSTER_DNS="false") == ""
    assert sorted(workspace.deleted()) == [
        "ConfigMap/coredns",
        "ConfigMap/kube-dns",
        "Service/kube-dns",
    ]


def test_a_failed_run_is_repeated(workspace: Workspace) -> None:
    workspace.answer("no")
    assert workspace.bring("dns")
    assert workspace.bring("dns") == ""
    assert workspace.asked() == ["apply", "apply"]


def test_another_etcd_may_hold_other_objects(workspace: Workspace) -> None:
    workspace.bring("dns")
    workspace.etcd(os.getppid())
    assert workspace.bring("dns") == ""
    assert workspace.asked() == ["apply", "apply"]


@pytest.mark.parametrize(
    "words",
    [
        "spec.clusterIPs[0]: Invalid value: may not change once set",
        "field is immutable",
        "provisioner: Forbidden: updates to provisioner are forbidden.",
    ],
)
def test_what_cannot_be_changed_is_made_anew(workspace: Workspace, words: str) -> None:
    workspace.answer(words)
    assert workspace.bring("dns") == ""
    assert workspace.asked() == ["apply", "replace --force --save-config"]


def test_a_namespace_that_is_not_there_yet_is_waited_for(workspace: Workspace) -> None:
    workspace.answer('Error from server: namespaces "kube-system" not found', "")
    assert workspace.bring("dns") == ""
    assert workspace.asked() == ["apply", "apply"]


def test_objects_whose_api_is_gone_are_gone(workspace: Workspace) -> None:
    workspace.bring("dns")
    workspace.answer('error: unable to recognize "STDIN": no matches for kind "X" in "y/v1"')
    assert workspace.bring("dns", KUBE_ENABLE_CLUSTER_DNS="false") == ""
    assert addons.load(workspace.chosen, "dns") is None


def test_a_remark_is_made_once(workspace: Workspace) -> None:
    psp = {"PSP_ADMISSION": "true"}
    assert workspace.bring("psp", **psp) == ""
    assert workspace.asked() == []
    assert addons.Applied(load(str(workspace.folder / "home"), **psp), "psp")()


def test_objects_that_are_gone_are_forgotten(workspace: Workspace) -> None:
    workspace.bring("dns")
    addons.forget(workspace.chosen)
    assert addons.load(workspace.chosen, "dns") is None
    assert not addons.Applied(workspace.chosen, "dns")()
