"""Addons are applied once and removed when they are off; kubectl is a script."""

import json
import os
from pathlib import Path

import pytest

from tasks.addons import catalog
from tasks.addons import tasks as addons
from tasks.system import files, process, procfs
from tests.support.addon_trees import CLASS, load, tree

KUBECTL = """#!/bin/sh
# fake kubectl: records its arguments, and fails with the next line of `answers`
shift 2
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
        record = process.Record("etcd", identity, ("etcd",), {}, "/", 0, exe, 0.0, "", "")
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
