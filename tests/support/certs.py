"""Certificates as doit makes them in this process, and TLS between them."""

from __future__ import annotations

import io
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

from tasks.certs import tasks as certs
from tasks.settings import load as settings
from tasks.settings.load import Settings

USERS = {
    "client-admin": ("system:admin", ["system:masters"]),
    "client-kubelet": ("system:node:node-a", ["system:nodes"]),
    "client-kube-proxy": ("system:kube-proxy", ["system:nodes"]),
    "client-controller": ("system:kube-controller-manager", []),
    "client-scheduler": ("system:kube-scheduler", []),
    "client-kube-aggregator": ("system:kube-aggregator", ["system:masters"]),
    "client-kube-apiserver": ("kube-apiserver", []),
}


AUTHORITIES = {"server-ca", "client-ca", "request-header-ca", "etcd-ca"}


ETCD = {"serving-etcd", "client-etcd"}


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
    """Let both sides verify each other strictly; return the name that the server sees."""
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
