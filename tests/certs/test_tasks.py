"""Certificates as doit makes them, keeps them, and makes them again when needed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from doit.exceptions import TaskFailed

from tasks.certs import certificates, pki
from tasks.certs import tasks as certs
from tasks.cli.task import Check
from tasks.core import derived
from tasks.core.errors import Failure
from tasks.settings import cert_files
from tasks.settings import load as settings
from tasks.settings.load import ROOT, Settings
from tasks.system import files
from tests.support.certs import (
    ETCD,
    SERVING,
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

# --- what is made again ------------------------------------------------------------------------


def test_a_second_run_changes_nothing(made: Settings, folder: Path) -> None:
    before = snapshot(folder)
    code, out = doit(made)
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} == {"--"}
    assert len(out.splitlines()) == len(before) - 15
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
        ({"ETCD_HOST": "192.0.2.7"}, both("serving-etcd")),
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
        ("etcd-ca.key", both("etcd-ca", *ETCD)),
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
    assert certs.is_public_key_of(folder / "service-account.key", folder / "service-account.pub")


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


def test_a_check_is_not_repeated_until_a_file_or_the_time_changes(
    made: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derived, "_SETTLED", 0)
    monkeypatch.setattr(derived, "_cache", derived.Cache())
    make(made)
    wanted = next(one for one in certificates.certificates(made) if one.stem == "client-admin")
    args = (wanted, cert_files.pair(made, wanted.stem), cert_files.pair(made, wanted.ca))
    assert certs.is_valid(*args)
    calls: list[Any] = []
    validity = pki.validity

    def count(*args: Any) -> tuple[float, float]:
        calls.append(args)
        return validity(*args)

    monkeypatch.setattr(pki, "validity", count)
    assert certs.is_valid(*args) and calls == []
    assert not certs.is_valid(replace(wanted, groups=()), *args[1:]) and len(calls) == 1
    now = time.time()
    end = read(folder, "client-admin").not_valid_after_utc.timestamp()
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: end - pki.RENEW_BEFORE.total_seconds() + 1)
        assert not certs.is_valid(*args)
        clock.setattr(time, "time", lambda: now - 2 * 3600)
        assert not certs.is_valid(*args), "it is from the future"
    key = folder / "client-admin.key"
    key.write_bytes((folder / "client-kubelet.key").read_bytes())
    assert not certs.is_valid(*args)
    public = folder / "service-account.pub"
    account = cert_files.service_account_key(made)
    assert certs.is_public_key_of(account, public)
    monkeypatch.setattr(pki, "public_key_of", lambda _: b"asked again")
    assert certs.is_public_key_of(account, public)
    public.write_bytes(b"another")
    assert not certs.is_public_key_of(account, public)


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
    assert certs.is_public_key_of(key, folder / "service-account.pub")
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
        assert certs.is_public_key_of(
            cert_files.service_account_key(chosen), folder / "service-account.pub"
        )
    for _ in range(2):  # the same setting, another key
        own_key(key)
        make(load(home, SERVICE_ACCOUNT_KEY=str(key)))
        assert certs.is_public_key_of(key, folder / "service-account.pub")
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
    assert group.keys() == {"name", "doc"} and group["name"] is None and group["doc"]
    assert len({task["name"] for task in tasks}) == len(tasks) == 28
    for task in tasks:
        assert task["doc"]
        assert "\n" not in task["doc"]
        assert task["clean"] is True
        assert task["meta"] == {"quiet": True}
    [admin] = [task for task in tasks if task["name"] == "client-admin"]
    assert set(admin["file_dep"]) == set(cert_files.pair(made, "client-ca"))
    check = repr(admin["uptodate"][1])
    assert check.startswith("client-admin ") and "30 more days" in check


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
