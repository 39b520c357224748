"""Stage 5: certificate authorities, certificates, kubeconfigs and the service-account key.

Names of files, users and groups are those of hack/local-up-cluster.sh.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from doit.tools import config_changed

from tasks.certs import credentials, kubeconfig, ownership
from tasks.certs.kubeconfig import address, host, is_address
from tasks.core.errors import Failure
from tasks.core.console import action
from tasks.settings.load import Settings, current
from tasks.system import files
from tasks.core.uptodate import Check

Paths = tuple[Path, Path]

_USER = "system:node:{}"
_USER_LIMIT = 64  # of a common name, by RFC 5280


@dataclass(frozen=True)
class Certificate:
    """What a certificate has to say; `ca` is the stem of its signer, empty for its own.

    An authority that names another one in `ca` is a copy of it.
    """

    stem: str
    common_name: str
    usage: Literal["authority", "server", "client"]
    ca: str = ""
    groups: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()


def certificates(settings: Settings) -> tuple[Certificate, ...]:
    """Return every certificate of the cluster, each authority before what it signs."""
    api, node = host(settings, "api.host"), host(settings, "kubelet.hostname_override")
    api_ip, node_ip = address(settings, "api.host_ip"), address(settings, "node.address")
    service_ip = address(settings, "api.first_service_cluster_ip")
    user = _USER.format(node)
    if len(user) > _USER_LIMIT:
        raise kubeconfig.refusal(
            settings, "kubelet.hostname_override", "short enough for a certificate",
            f"use at most {_USER_LIMIT - len(_USER.format(''))} characters",
        )
    sandbox = (node_ip,) if settings.node.sandbox else ()
    one_ca = "server-ca" if settings.certs.single_ca else ""
    return (
        Certificate("server-ca", "server-ca", "authority"),
        Certificate("client-ca", "client-ca", "authority", one_ca),
        Certificate("request-header-ca", "request-header-ca", "authority"),
        _serving("kube-apiserver", "kubernetes.default", (
            "kubernetes.default", "kubernetes.default.svc", "localhost", "127.0.0.1",
            api_ip, api, service_ip, *sandbox,
        )),
        _serving("kube-aggregator", "api.kube-public.svc", (
            "api.kube-public.svc", "localhost", api_ip,
        )),
        _serving("kubelet", user, ("localhost", "127.0.0.1", node, node_ip), "system:nodes"),
        _client("admin", "system:admin", "system:masters"),
        _client("kubelet", user, "system:nodes"),
        _client("kube-proxy", "system:kube-proxy", "system:nodes"),
        _client("controller", "system:kube-controller-manager"),
        _client("scheduler", "system:kube-scheduler"),
        _client("kube-aggregator", "system:kube-aggregator", "system:masters"),
        _client("kube-apiserver", "kube-apiserver"),
        _client("auth-proxy", "system:auth-proxy", ca="request-header-ca"),
    )


def pair(settings: Settings, stem: str) -> Paths:
    """Return the paths of a certificate and of its key."""
    return settings.paths.certs / f"{stem}.crt", settings.paths.certs / f"{stem}.key"


def service_account_key(settings: Settings) -> Path:
    """Return the key that signs service account tokens: the user's, or the one made here."""
    named = settings.certs.service_account_key
    own = settings.paths.certs / "service-account.key"
    return Path(named).expanduser().absolute() if named else own


def kubeconfig_files(settings: Settings, name: str) -> tuple[Path, Path, Path]:
    """Return the files a kubeconfig names: authority, certificate, key."""
    return (pair(settings, "server-ca")[0], *pair(settings, kubeconfig.CLIENTS[name]))


def sound(wanted: Certificate, own: Paths, ca: Paths | None) -> bool:
    """Tell whether the pair on disk is whole, as wanted, and valid for 30 more days."""
    from tasks.certs import pki  # noqa: PLC0415 - `doit list` stays fast

    try:
        return pki.matches(wanted, pki.read(*own), pki.read(*ca) if ca else None)
    except PermissionError:
        raise  # what we may not read we should not replace
    except Exception:  # missing, damaged, or signed by an authority that is gone
        return False


@action
def require(own: Paths) -> None:
    """Raise Failure unless the control plane that a lone kubelet joins has left its authority."""
    missing = next((path for path in own if not path.is_file()), None)
    if missing:
        raise Failure(
            f"START_MODE=kubeletonly joins a control plane, whose authority {missing} is not there",
            "bring one up in this instance first (START_MODE=nokubelet doit up), or copy server-ca"
            " and client-ca, .crt and .key, of another one there",
        )


def present(own: Paths) -> bool:
    """Tell whether a certificate and its key are there."""
    return all(path.is_file() for path in own)


@action
def make(wanted: Certificate, own: Paths, ca: Paths | None, reuse: bool = True) -> None:
    """Make a pair, unless the one on disk is sound and may be used again."""
    from tasks.certs import pki  # noqa: PLC0415 - `doit list` stays fast

    crt, key = own
    crt.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.locked(crt.parent / ".lock"):
        if reuse and sound(wanted, own, ca):
            return
        made = pki.issue(wanted, pki.read(*ca) if ca else None)
        crt.unlink(missing_ok=True)  # an interruption leaves no certificate of another key
        files.write(key, made.key, 0o600)
        files.write(crt, made.crt)


def halves(key: Path, public: Path) -> bool:
    """Tell whether one file is the public half of the other."""
    from tasks.certs import pki  # noqa: PLC0415 - `doit list` stays fast

    return pki.public_half(key.read_bytes()) == public.read_bytes()


@action
def make_service_account(key: Path, public: Path, source: str) -> None:
    """Write the public half of the key; the key too, unless a user named it (in `source`)."""
    from tasks.certs import pki  # noqa: PLC0415 - `doit list` stays fast

    public.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.locked(public.parent / ".lock"):
        try:
            half = pki.public_half(key.read_bytes())
        except (FileNotFoundError, ValueError):
            if source:
                raise Failure(
                    f"{source}: {key} is not an RSA or ECDSA private key",
                    "name an unencrypted PEM file, or unset it to have a key made",
                ) from None
            made = pki.new_key()
            half = pki.public_half(made)
            files.write(key, made, 0o600)
        files.write_if_changed(public, half)


def _client(name: str, user: str, *groups: str, ca: str = "client-ca") -> Certificate:
    return Certificate(f"client-{name}", user, "client", ca, groups)


def _serving(name: str, common_name: str, hosts: tuple[str, ...], *groups: str) -> Certificate:
    unique = tuple(dict.fromkeys(hosts))
    ips = tuple(filter(is_address, unique))
    dns = tuple(name for name in unique if name not in ips)
    return Certificate(f"serving-{name}", common_name, "server", "server-ca", groups, dns, ips)


def _tasks(settings: Settings) -> Iterator[dict[str, Any]]:
    yield {"name": None, "doc": "certificates, keys and kubeconfigs"}
    tasks = [_certificate(settings, item) for item in certificates(settings)]
    tasks += [_service_account(settings)]
    tasks += [_kubeconfig(settings, name) for name in kubeconfig.CLIENTS]
    tasks += ownership.tasks(settings)
    yield from ({"clean": True, "meta": {"quiet": True}, **task} for task in tasks)


def _certificate(settings: Settings, wanted: Certificate) -> dict[str, Any]:
    kind = {"authority": "certificate authority", "server": "serving certificate"}
    words = f"{wanted.stem} is as wanted and valid for 30 more days"
    own, ca = pair(settings, wanted.stem), pair(settings, wanted.ca) if wanted.ca else None
    doc = f"{kind.get(wanted.usage, 'client certificate')} {wanted.common_name}"
    if wanted.usage == "authority" and not settings.start.control_plane:
        return {
            "name": wanted.stem,
            "doc": doc,
            "targets": own,
            "uptodate": [Check(f"{wanted.stem} of the control plane is there", present, (own,))],
            "actions": [(require, (own,))],
            "clean": [],
        }
    return {
        "name": wanted.stem,
        "doc": doc,
        "file_dep": ca or (),
        "targets": own,
        "uptodate": [
            config_changed(asdict(wanted)), Check(words, sound, (wanted, own, ca)),
            settings.certs.reuse,
        ],
        "actions": [(make, (wanted, own, ca, settings.certs.reuse))],
    }


def _service_account(settings: Settings) -> dict[str, Any]:
    key, public = service_account_key(settings), settings.paths.certs / "service-account.pub"
    named = bool(settings.certs.service_account_key)
    source = settings.sources.get("certs.service_account_key", "certs") if named else ""
    words = f"{public} is the public half of {key}"
    return {
        "name": "service-account",
        "doc": "key that signs service account tokens",
        "targets": (public,) if named else (key, public),
        "uptodate": [config_changed({"key": str(key)}), Check(words, halves, (key, public))],
        "actions": [(make_service_account, (key, public, source))],
    }


def _kubeconfig(settings: Settings, name: str) -> dict[str, Any]:
    server, named = kubeconfig.server(settings, name), kubeconfig_files(settings, name)
    path = settings.paths.kubeconfig(name)
    user = credentials.fields_of(settings, name, *named[1:])
    text = partial(kubeconfig.content, server, named[0], user)
    return {
        "name": f"kubeconfig-{name}",
        "doc": f"kubeconfig of {name}",
        "file_dep": (*named, kubeconfig.TEMPLATE),
        "targets": (path,),
        "uptodate": [Check(f"{path} is as wanted", ownership.same, (path, text))],
        "actions": [(ownership.keep, (path, text))],
    }


def task_certs() -> Iterator[dict[str, Any]]:
    """Describe the certificates, keys and kubeconfigs."""
    yield from _tasks(current())
