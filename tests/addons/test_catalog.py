"""Manifests of addons from trees of several minors, with their placeholders replaced."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.addons import catalog
from tasks.core.errors import Failure
from tests.support.addon_trees import (
    BARE,
    CLASS,
    DASHBOARD,
    PILLAR,
    SERVICE,
    SHELL,
    UNDERSCORES,
    dns,
    load,
    simple,
    tree,
    write,
)


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
    with pytest.raises(Failure, match=rf"{name} .*{variable}") as caught:
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
