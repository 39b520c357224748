"""Certificates and kubeconfigs: judged by TLS, by what is on disk, and by what doit makes again."""

from __future__ import annotations

import io
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import NameOID
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain
from doit.exceptions import TaskFailed

from tasks.certs import certificates, kubeconfig, pki
from tasks.certs import tasks as certs
from tasks.core.errors import Failure
from tasks.core.uptodate import Check
from tasks.settings import cert_files
from tasks.settings import load as settings
from tasks.settings.load import ROOT, Settings
from tasks.system import files

USERS = {
    "client-admin": ("system:admin", ["system:masters"]),
    "client-kubelet": ("system:node:node-a", ["system:nodes"]),
    "client-kube-proxy": ("system:kube-proxy", ["system:nodes"]),
    "client-controller": ("system:kube-controller-manager", []),
    "client-scheduler": ("system:kube-scheduler", []),
    "client-kube-aggregator": ("system:kube-aggregator", ["system:masters"]),
    "client-kube-apiserver": ("kube-apiserver", []),
}
AUTHORITIES = {"server-ca", "client-ca", "request-header-ca"}
SERVING = {"serving-kube-apiserver", "serving-kube-aggregator", "serving-kubelet"}


def load(home: Path, **environ: str) -> Settings:
    """Load settings from nothing but the given environment."""
    given = {"STEPKUBE_HOME": str(home), "HOSTNAME_OVERRIDE": "node-a", **environ}
    return settings.load(given, file=home / "no-such-file.yaml")


def doit(chosen: Settings, *argv: str) -> tuple[int, str]:
    """Run doit in this process on nothing but the certificate tasks."""
    chosen.paths.home.mkdir(parents=True, exist_ok=True)
    out = io.StringIO()
    config = {"dep_file": str(chosen.paths.home / "db"), "backend": "sqlite3", "outfile": out}
    loader = ModuleTaskLoader({"task_certs": lambda: certs.task_certs(chosen)})
    main = DoitMain(loader, config_filenames=(), extra_config={"GLOBAL": config})
    return main.run(list(argv or ["run"])) or 0, out.getvalue()


def make(chosen: Settings) -> Path:
    code, out = doit(chosen)
    assert code == 0, out
    return chosen.paths.certs


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
        if path.name != ".lock"
    }


def changed(folder: Path, before: dict[str, tuple[bytes, int]]) -> set[str]:
    """Return the files that differ in content or in time since `before`."""
    after = snapshot(folder)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def both(*stems: str) -> set[str]:
    return {f"{stem}.{kind}" for stem in stems for kind in ("crt", "key")}


def read(folder: Path, stem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{stem}.crt").read_bytes())


def subject(certificate: x509.Certificate) -> tuple[str, list[str]]:
    def values(oid: x509.ObjectIdentifier) -> list[str]:
        return [str(item.value) for item in certificate.subject.get_attributes_for_oid(oid)]

    [name] = values(NameOID.COMMON_NAME)
    return name, values(NameOID.ORGANIZATION_NAME)


def fits(folder: Path, stem: str) -> bool:
    key = serialization.load_pem_private_key((folder / f"{stem}.key").read_bytes(), None)
    return key.public_key() == read(folder, stem).public_key()


def context(folder: Path, own: str, trusted: str, server: bool) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.load_verify_locations(folder / f"{trusted}.crt")
    made.load_cert_chain(folder / f"{own}.crt", folder / f"{own}.key")
    return made


def handshake(
    folder: Path,
    *,
    server: str = "serving-kube-apiserver",
    client: str = "client-admin",
    host: str = "localhost",
    server_ca: str = "server-ca",
    client_ca: str = "client-ca",
) -> dict[str, Any]:
    """Let both sides verify each other strictly; return whom the server sees."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = context(folder, client, server_ca, server=False).wrap_bio(
        to_client, to_server, server_hostname=host
    )
    answering = context(folder, server, client_ca, server=True).wrap_bio(
        to_server, to_client, server_side=True
    )
    for side in (asking, answering) * 3:
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    peer = answering.getpeercert()
    assert peer
    return peer


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make everything once, with a umask that hides nothing."""
    home = tmp_path_factory.mktemp("certs") / "home"
    umask = os.umask(0)
    try:
        make(load(home))
    finally:
        os.umask(umask)
    shutil.copytree(home, home.with_name("master"))
    return home


@pytest.fixture
def home(master: Path) -> Path:
    """Put a workspace back to where everything was just made."""
    shutil.rmtree(master)
    shutil.copytree(master.with_name("master"), master)
    return master


@pytest.fixture
def made(home: Path) -> Settings:
    return load(home)


@pytest.fixture
def folder(made: Settings) -> Path:
    return made.paths.certs


# --- what is on disk ---------------------------------------------------------------------------


def test_files(made: Settings, folder: Path) -> None:
    stems = AUTHORITIES | SERVING | {*USERS, "client-auth-proxy"}
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
    assert len(secret) == 14 + 1 + 7
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


# --- TLS ---------------------------------------------------------------------------------------


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


# --- kubeconfigs -------------------------------------------------------------------------------


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


# --- what is made again ------------------------------------------------------------------------


def test_a_second_run_changes_nothing(made: Settings, folder: Path) -> None:
    before = snapshot(folder)
    code, out = doit(made)
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} == {"--"}
    assert len(out.splitlines()) == len(before) - 12
    assert not changed(folder, before)


def test_a_lost_database_changes_nothing(made: Settings, folder: Path) -> None:
    before = snapshot(folder)
    (made.paths.home / "db").unlink()
    make(made)
    assert not changed(folder, before)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOSTNAME_OVERRIDE": "node-b"}, both("client-kubelet", "serving-kubelet")),
        (
            {"API_HOST": "api.example"},
            both("serving-kube-apiserver")
            | {
                f"{name}.kubeconfig" for name in cert_files.CLIENTS if name != cert_files.AGGREGATOR
            },
        ),
        (
            {"API_HOST_IP": "192.0.2.7"},
            both("serving-kube-apiserver", "serving-kube-aggregator")
            | {"admin-kube-aggregator.kubeconfig"},
        ),
        ({"STEPKUBE_NODE_SANDBOX": "false"}, both("serving-kube-apiserver")),
        ({"LOG_LEVEL": "9"}, set()),
    ],
)
def test_only_what_a_setting_touches(
    home: Path, folder: Path, environ: dict[str, str], expected: set[str]
) -> None:
    before = snapshot(folder)
    make(load(home, **environ))
    assert changed(folder, before) == expected
    assert all(fits(folder, path.stem) for path in folder.glob("*.crt"))


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        ("client-admin.key", both("client-admin")),
        ("client-admin.crt", both("client-admin")),
        ("request-header-ca.key", both("request-header-ca", "client-auth-proxy")),
        ("server-ca.crt", both("server-ca", *SERVING)),
        ("service-account.pub", {"service-account.pub"}),
        ("service-account.key", {"service-account.key", "service-account.pub"}),
        ("admin.kubeconfig", {"admin.kubeconfig"}),
    ],
)
def test_a_lost_file(made: Settings, folder: Path, lost: str, expected: set[str]) -> None:
    before = snapshot(folder)
    (folder / lost).unlink()
    make(made)
    assert changed(folder, before) == expected
    assert handshake(folder)
    assert certs.is_public_half(folder / "service-account.key", folder / "service-account.pub")


@pytest.mark.parametrize("damage", [b"", b"-----BEGIN", b"\xff"])
@pytest.mark.parametrize("kind", ["crt", "key"])
def test_a_damaged_file(made: Settings, folder: Path, kind: str, damage: bytes) -> None:
    before = snapshot(folder)
    (folder / f"client-admin.{kind}").write_bytes(damage)
    make(made)
    assert changed(folder, before) == both("client-admin")
    assert handshake(folder)


def test_a_key_of_another_certificate(made: Settings, folder: Path) -> None:
    files.write(folder / "client-admin.key", (folder / "client-kubelet.key").read_bytes(), 0o600)
    make(made)
    assert fits(folder, "client-admin")


@pytest.mark.parametrize("stem", ["client-admin", "request-header-ca"])
def test_a_forged_certificate(made: Settings, folder: Path, stem: str) -> None:
    whole = read(folder, stem).public_bytes(serialization.Encoding.DER)
    forged = x509.load_der_x509_certificate(whole[:-1] + bytes([whole[-1] ^ 1]))
    files.write(folder / f"{stem}.crt", forged.public_bytes(serialization.Encoding.PEM))
    before = snapshot(folder)
    make(made)
    assert both(stem) <= changed(folder, before)


def test_a_certificate_from_the_future(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = load(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(pki, "_CLOCK_SKEW", timedelta(days=-1))
        assert doit(chosen, "certs:client-ca")[0] == 0
    before = snapshot(chosen.paths.certs)
    assert doit(chosen, "certs:client-ca")[0] == 0
    assert changed(chosen.paths.certs, before) == both("client-ca")


def test_an_interruption_between_key_and_certificate(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files.write

    def interrupted(path: Path, *args: Any) -> None:
        if path.name == "client-kubelet.crt":
            raise Failure("the disk is full", "free some space")
        write(path, *args)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", interrupted)
        code, out = doit(load(home, HOSTNAME_OVERRIDE="node-b"), "certs:client-kubelet")
    assert code == 1
    assert "the disk is full" in out
    assert not (folder / "client-kubelet.crt").exists()
    # back to the name doit remembers as done
    make(load(home))
    assert fits(folder, "client-kubelet")
    assert subject(read(folder, "client-kubelet"))[0] == "system:node:node-a"


@pytest.mark.parametrize(("days", "expected"), [(29, both("client-admin")), (31, set())])
def test_renewal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, expected: set[str]
) -> None:
    chosen = load(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(pki, "LEAF_LIFE", timedelta(days=days))
        assert doit(chosen, "certs:client-admin")[0] == 0
    before = snapshot(chosen.paths.certs)
    assert doit(chosen, "certs:client-admin")[0] == 0
    assert changed(chosen.paths.certs, before) == expected


def test_two_at_once_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = load(tmp_path)
    wanted, issue, calls = certificates.certificates(chosen)[0], pki.issue, []

    def slow(*args: Any) -> pki.Pair:
        calls.append(args)
        time.sleep(0.1)
        return issue(*args)

    monkeypatch.setattr(pki, "issue", slow)
    args = (wanted, cert_files.pair(chosen, wanted.stem), None)
    threads = [threading.Thread(target=certs.make, args=args) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert certs.is_valid(*args)


def test_what_may_not_be_read_is_not_replaced(
    made: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(folder)
    denied = folder / "server-ca.key"

    def refuse(*_: Path) -> pki.Pair:
        raise PermissionError(13, "Permission denied", str(denied))

    monkeypatch.setattr(pki, "read", refuse)
    code, out = doit(made, "certs:server-ca")
    assert code == 1
    assert f"{denied}: Permission denied" in out
    assert not changed(folder, before)


# --- the service-account key -------------------------------------------------------------------


def pem(key: PrivateKeyTypes, password: bytes = b"") -> bytes:
    lock = serialization.BestAvailableEncryption(password) if password else None
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        lock or serialization.NoEncryption(),
    )


def own_key(path: Path) -> Path:
    path.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    return path


def test_service_account_pair(folder: Path) -> None:
    key = serialization.load_pem_private_key((folder / "service-account.key").read_bytes(), None)
    size: Any = key
    assert size.key_size == 2048
    assert (folder / "service-account.pub").read_bytes() == key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def test_a_key_of_the_user_is_only_read(tmp_path: Path) -> None:
    key = own_key(tmp_path / "mine.pem")
    before = key.read_bytes(), key.stat()
    chosen = load(tmp_path, SERVICE_ACCOUNT_KEY=str(key))
    assert cert_files.service_account_key(chosen) == key
    assert doit(chosen, "certs:service-account")[0] == 0
    folder = chosen.paths.certs
    assert not (folder / "service-account.key").exists()
    assert certs.is_public_half(key, folder / "service-account.pub")
    assert doit(chosen, "clean")[0] == 0
    after = key.stat()
    assert (key.read_bytes(), after.st_mtime_ns, after.st_mode) == (
        before[0],
        before[1].st_mtime_ns,
        before[1].st_mode,
    )


def test_the_public_half_follows_the_key_in_use(tmp_path: Path, home: Path, folder: Path) -> None:
    made = (folder / "service-account.key").read_bytes()
    key = own_key(tmp_path / "mine.pem")
    for chosen in (load(home, SERVICE_ACCOUNT_KEY=str(key)), load(home)):
        make(chosen)
        assert certs.is_public_half(
            cert_files.service_account_key(chosen), folder / "service-account.pub"
        )
    for _ in range(2):  # the same setting, another key
        own_key(key)
        make(load(home, SERVICE_ACCOUNT_KEY=str(key)))
        assert certs.is_public_half(key, folder / "service-account.pub")
    assert (folder / "service-account.key").read_bytes() == made


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"s3cret-no-key",
        pem(ed25519.Ed25519PrivateKey.generate()),
        pem(ec.generate_private_key(ec.SECP256R1()), password=b"s3cret"),
    ],
    ids=["missing", "empty", "text", "ed25519", "encrypted"],
)
def test_a_bad_key_of_the_user(tmp_path: Path, content: bytes | None) -> None:
    key = tmp_path / "mine.pem"
    if content is not None:
        key.write_bytes(content)
    code, out = doit(load(tmp_path, SERVICE_ACCOUNT_KEY=str(key)), "certs:service-account")
    assert code == 1
    assert f"the environment (SERVICE_ACCOUNT_KEY): {key} is not" in out
    assert "Traceback" not in out
    assert "s3cret" not in out
    assert (key.read_bytes() if key.exists() else None) == content


# --- the tasks ---------------------------------------------------------------------------------


def test_bad_addresses_name_their_source(tmp_path: Path) -> None:
    for name, key, value in [
        ("API_HOST_IP", "api.host_ip", "localhost"),
        ("FIRST_SERVICE_CLUSTER_IP", "api.first_service_cluster_ip", "10.0.0.300"),
        ("API_HOST", "api.host", "https://localhost"),
        ("API_HOST", "api.host", "a b"),
        ("API_HOST", "api.host", "10.0.0.300"),
        ("HOSTNAME_OVERRIDE", "kubelet.hostname_override", "a" * 53),
    ]:
        with pytest.raises(Failure) as caught:
            certificates.certificates(load(tmp_path, **{name: value}))
        assert caught.value.message.startswith(f"the environment ({name}): {value!r} is not ")
        assert caught.value.hint
        file = tmp_path / "stepkube.yaml"
        group, leaf = key.split(".")
        file.write_text(yaml.safe_dump({group: {leaf: value}}))
        with pytest.raises(Failure) as caught:
            certificates.certificates(settings.load({"STEPKUBE_HOME": str(tmp_path)}, file=file))
        assert caught.value.message.startswith(f"{file} ({key}): ")
    assert certificates.certificates(load(tmp_path, HOSTNAME_OVERRIDE="a" * 52))


def test_tasks_describe_themselves(made: Settings) -> None:
    group, *tasks = certs.task_certs(made)
    assert group == {"name": None, "doc": "certificates, keys and kubeconfigs"}
    assert len({task["name"] for task in tasks}) == len(tasks) == 25
    for task in tasks:
        assert task["doc"]
        assert "\n" not in task["doc"]
        assert task["clean"] is True
        assert task["meta"] == {"quiet": True}
    [admin] = [task for task in tasks if task["name"] == "client-admin"]
    assert set(admin["file_dep"]) == set(cert_files.pair(made, "client-ca"))
    assert repr(admin["uptodate"][1]) == "client-admin is as wanted and valid for 30 more days"


def test_clean_removes_all_that_was_made(made: Settings, folder: Path) -> None:
    assert snapshot(folder)
    assert doit(made, "clean")[0] == 0
    assert not snapshot(folder)


def test_a_check_that_breaks_means_not_up_to_date() -> None:
    assert Check("divides", lambda by: bool(1 // by), (1,))() is True
    assert Check("divides", lambda by: bool(1 // by), (0,))() is False


def test_describing_loads_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; from tasks.certs import tasks as certs; from tasks.settings import load;"
        "list(certs.task_certs(load.load({'STEPKUBE_HOME': sys.argv[1]})));"
        "print(sorted({'cryptography', 'jinja2'} & set(sys.modules)))"
    )
    argv = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_keys_stay_out_of_words(tmp_path: Path, made: Settings, folder: Path) -> None:
    found = pki.read(*cert_files.pair(made, "client-admin"))
    assert b"PRIVATE KEY" in found.key
    assert "PRIVATE" not in f"{found} {found!r} {[found]}"
    assert "BEGIN" not in "".join(path.read_text() for path in folder.glob("*.kubeconfig"))
    outcome = certs.make_service_account(folder / "client-admin.crt", tmp_path / "x.pub", "file")
    assert isinstance(outcome, TaskFailed)
    assert "BEGIN" not in str(outcome)
