"""Certificates and kubeconfigs on disk, verified by TLS."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from tasks.certs import certificates, kubeconfig, pki
from tasks.settings import cert_files
from tasks.settings.load import Settings
from tests.support.certs import (
    AUTHORITIES,
    ETCD,
    SERVING,
    USERS,
    both,
    changed,
    doit,
    fits,
    handshake,
    load,
    make,
    read,
    snapshot,
    subject,
)


def test_files(made: Settings, folder: Path) -> None:
    stems = AUTHORITIES | SERVING | ETCD | {*USERS, "client-auth-proxy"}
    configs = {
        f"{name}.kubeconfig"
        for name in (
            "admin",
            "kubelet",
            "kube-proxy",
            "controller",
            "scheduler",
            "kube-aggregator",
            "admin-kube-aggregator",
        )
    }
    expected = both(*stems) | configs | {"service-account.key", "service-account.pub"}
    assert set(snapshot(folder)) == expected
    assert {item.stem for item in certificates.certificates(made)} == stems
    assert cert_files.pair(made, "server-ca") == (
        folder / "server-ca.crt",
        folder / "server-ca.key",
    )
    assert cert_files.service_account_key(made) == folder / "service-account.key"


def test_modes(folder: Path) -> None:
    assert folder.stat().st_mode & 0o7777 == 0o700
    secret = [path for path in folder.iterdir() if path.suffix in (".key", ".kubeconfig")]
    assert len(secret) == 17 + 1 + 7
    assert {path.name: oct(path.stat().st_mode & 0o7777) for path in secret} == {
        path.name: "0o600" for path in secret
    }


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    given = tmp_path / "certs"
    given.mkdir()
    given.chmod(0o755)
    code, _ = doit(load(tmp_path, CERT_DIR=str(given)), "certs:server-ca")
    assert code == 0
    assert given.stat().st_mode & 0o777 == 0o755
    assert (given / "server-ca.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("stem", "names"),
    [
        (
            "serving-kube-apiserver",
            [
                "kubernetes.default",
                "kubernetes.default.svc",
                "localhost",
                "127.0.0.1",
                "10.0.0.1",
                "10.99.0.1",
            ],
        ),
        ("serving-kube-aggregator", ["api.kube-public.svc", "localhost", "127.0.0.1"]),
        ("serving-kubelet", ["localhost", "node-a", "127.0.0.1", "10.99.0.1"]),
    ],
)
def test_names_in_serving_certificates(folder: Path, stem: str, names: list[str]) -> None:
    found = read(folder, stem).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [str(name.value) for name in found.value] == names
    for name in names:
        handshake(folder, server=stem, host=name)


def test_names_follow_the_settings(tmp_path: Path) -> None:
    def names(**environ: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        all_of_them = certificates.certificates(load(tmp_path, **environ))
        api = next(item for item in all_of_them if item.stem == "serving-kube-apiserver")
        return api.dns, api.ips

    dns, ips = names(
        API_HOST="api.example",
        API_HOST_IP="192.0.2.7",
        STEPKUBE_NODE_SANDBOX="no",
        FIRST_SERVICE_CLUSTER_IP="FD00::01",
    )
    assert dns == ("kubernetes.default", "kubernetes.default.svc", "localhost", "api.example")
    assert ips == ("127.0.0.1", "192.0.2.7", "fd00::1")
    dns, ips = names(API_HOST="192.0.2.8")
    assert dns == ("kubernetes.default", "kubernetes.default.svc", "localhost")
    assert ips == ("127.0.0.1", "192.0.2.8", "10.0.0.1", "10.99.0.1")


def test_users_and_groups(folder: Path) -> None:
    assert {stem: subject(read(folder, stem)) for stem in USERS} == USERS
    assert subject(read(folder, "client-auth-proxy")) == ("system:auth-proxy", [])


def test_a_node_is_named_as_the_kubelet_names_itself(tmp_path: Path) -> None:
    chosen = load(tmp_path, HOSTNAME_OVERRIDE=" Node-B")
    found = {item.stem: item for item in certificates.certificates(chosen)}
    assert found["client-kubelet"].common_name == "system:node:node-b"
    assert "node-b" in found["serving-kubelet"].dns


def test_validity_and_constraints(folder: Path) -> None:
    for path in folder.glob("*.crt"):
        found = read(folder, path.stem)
        authority = path.stem in AUTHORITIES
        life = found.not_valid_after_utc - found.not_valid_before_utc - timedelta(hours=1)
        assert life == (timedelta(days=3650) if authority else timedelta(hours=43800))
        basic = found.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (basic.value.ca, basic.critical) == (authority, True)
        usage = found.extensions.get_extension_for_class(x509.KeyUsage)
        assert (usage.value.key_cert_sign, usage.value.key_encipherment, usage.critical) == (
            authority,
            not authority,
            True,
        )
        public: Any = found.public_key()
        assert public.key_size == 2048
        assert fits(folder, path.stem)


def test_a_leaf_does_not_outlive_its_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pki, "AUTHORITY_LIFE", timedelta(days=100))
    chosen = load(tmp_path)
    assert doit(chosen, "certs:client-admin")[0] == 0
    leaf, ca = (read(chosen.paths.certs, stem) for stem in ("client-admin", "client-ca"))
    assert leaf.not_valid_after_utc == ca.not_valid_after_utc


@pytest.mark.parametrize("stem", USERS)
def test_a_client_is_known_by_name_and_groups(folder: Path, stem: str) -> None:
    fields = [field for [field] in handshake(folder, client=stem)["subject"]]
    user, groups = USERS[stem]
    assert [value for name, value in fields if name == "commonName"] == [user]
    assert [value for name, value in fields if name == "organizationName"] == groups


def test_the_front_proxy_is_known_by_its_own_authority_only(folder: Path) -> None:
    assert handshake(folder, client="client-auth-proxy", client_ca="request-header-ca")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(folder, client="client-auth-proxy")


@pytest.mark.parametrize(
    "wrong",
    [
        {"server_ca": "client-ca"},
        {"server_ca": "request-header-ca"},
        {"client_ca": "server-ca"},
        {"client_ca": "request-header-ca"},
        {"host": "example.com"},
        {"host": "192.0.2.1"},
        {"server": "client-admin", "server_ca": "client-ca"},
        {"client": "serving-kubelet", "client_ca": "server-ca"},
    ],
)
def test_what_does_not_belong_is_refused(folder: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(folder, **wrong)


ETCD_ONLY = {
    "server": "serving-etcd",
    "client": "client-etcd",
    "server_ca": "etcd-ca",
    "client_ca": "etcd-ca",
}


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_etcd_and_its_client_know_each_other(folder: Path, name: str) -> None:
    assert handshake(folder, **ETCD_ONLY, host=name)


def test_etcd_is_a_client_of_itself(folder: Path) -> None:
    assert handshake(folder, **{**ETCD_ONLY, "client": "serving-etcd"})


@pytest.mark.parametrize("client", [*USERS, "client-auth-proxy", "serving-kube-apiserver"])
def test_etcd_refuses_every_other_certificate(folder: Path, client: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(folder, **{**ETCD_ONLY, "client": client})


def test_the_certificate_of_etcd_names_its_address(tmp_path: Path) -> None:
    def names(host: str) -> tuple[str, ...]:
        found = certificates.certificates(load(tmp_path, ETCD_HOST=host))
        return next(item.ips for item in found if item.stem == "serving-etcd")

    assert names("192.0.2.9") == ("127.0.0.1", "::1", "192.0.2.9")
    assert names("0.0.0.0") == names("::") == names("localhost") == ("127.0.0.1", "::1")


def test_one_authority_for_both(home: Path, folder: Path) -> None:
    before = snapshot(folder)
    one = load(home, ENABLE_SINGLE_CA_SIGNER="true")
    make(one)
    assert (folder / "client-ca.key").read_bytes() == (folder / "server-ca.key").read_bytes()
    assert changed(folder, before) == both("client-ca", *USERS)
    assert handshake(folder, client_ca="server-ca", server_ca="client-ca")
    before = snapshot(folder)
    make(one)
    assert not changed(folder, before)


def test_kubeconfig(tmp_path: Path) -> None:
    home = tmp_path / "a \"b\" & 'c': {{d}} #é"
    chosen = load(home, API_HOST="api.example", API_SECURE_PORT="7443", API_HOST_IP="192.0.2.7")
    folder = make(chosen)
    for name, stem in cert_files.CLIENTS.items():
        text = chosen.paths.kubeconfig(name).read_text()
        aggregator = name == "admin-kube-aggregator"
        server = "https://192.0.2.7:31090" if aggregator else "https://api.example:7443"
        crt, key = folder / f"{stem}.crt", folder / f"{stem}.key"
        authority = folder / "server-ca.crt"
        assert yaml.safe_load(text) == {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "local-up-cluster",
                    "cluster": {"server": server, "certificate-authority": str(authority)},
                }
            ],
            "users": [
                {
                    "name": "local-up-cluster",
                    "user": {"client-certificate": str(crt), "client-key": str(key)},
                }
            ],
            "contexts": [
                {
                    "name": "local-up-cluster",
                    "context": {"cluster": "local-up-cluster", "user": "local-up-cluster"},
                }
            ],
            "current-context": "local-up-cluster",
        }
        assert cert_files.kubeconfig_files(chosen, name)[1:] == (authority, crt, key)
        assert all(path.is_file() for path in (authority, crt, key))


def test_kubeconfig_of_an_ipv6_address(tmp_path: Path) -> None:
    chosen = load(tmp_path, API_HOST="[::1]", API_HOST_IP="fd00::7")
    assert kubeconfig.server(chosen, "admin") == "https://[::1]:6443"
    assert kubeconfig.server(chosen, "admin-kube-aggregator") == "https://[fd00::7]:31090"
