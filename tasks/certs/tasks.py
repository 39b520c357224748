"""Certificate authorities, certificates, kubeconfigs and the service-account key.

Names of files, users and groups are those of hack/local-up-cluster.sh.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from tasks.certs import credentials, kubeconfig, ownership
from tasks.certs.certificates import (
    Certificate,
    Paths,
    certificates,
)
from tasks.cli.task import Check, action, config_changed
from tasks.core.errors import Failure
from tasks.settings.cert_files import CLIENTS, kubeconfig_files, pair, service_account_key
from tasks.settings.load import Settings
from tasks.system import files


def is_valid(wanted: Certificate, own: Paths, ca: Paths | None) -> bool:
    """Tell whether the pair on disk is whole, as wanted, and valid for 30 more days."""
    from tasks.certs import pki  # noqa: PLC0415 - `doit list` stays fast

    try:
        return pki.matches(wanted, pki.read(*own), pki.read(*ca) if ca else None)
    except PermissionError:
        raise  # what we may not read we should not replace
    except Exception:  # missing, damaged, or signed by an authority that is gone
        return False


@action
def require_authority(own: Paths) -> None:
    """Raise Failure unless the control plane that a lone kubelet joins has left its authority."""
    missing = next((path for path in own if not path.is_file()), None)
    if missing:
        raise Failure(
            f"START_MODE=kubeletonly joins a control plane, whose authority {missing} is not there",
            "bring one up in this instance first (START_MODE=nokubelet doit up), or copy server-ca"
            " and client-ca, .crt and .key, of another one there",
        )


def exist(own: Paths) -> bool:
    """Tell whether a certificate and its key are there."""
    return all(path.is_file() for path in own)


@action
def make(wanted: Certificate, own: Paths, ca: Paths | None, reuse: bool = True) -> None:
    """Make a pair, unless the one on disk is sound and may be used again."""
    from tasks.certs import pki  # noqa: PLC0415 - `doit list` stays fast

    crt, key = own
    crt.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.locked(crt.parent / ".lock"):
        if reuse and is_valid(wanted, own, ca):
            return
        made = pki.issue(wanted, pki.read(*ca) if ca else None)
        crt.unlink(missing_ok=True)  # an interruption leaves no certificate of another key
        files.write(key, made.key, 0o600)
        files.write(crt, made.crt)


def is_public_half(key: Path, public: Path) -> bool:
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


def task_certs(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the tasks of the certificates, keys and kubeconfigs."""
    yield {"name": None, "doc": "certificates, keys and kubeconfigs"}
    tasks = [_certificate(settings, item) for item in certificates(settings)]
    tasks += [_service_account(settings)]
    tasks += [_kubeconfig(settings, name) for name in CLIENTS]
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
            "uptodate": [Check(f"{wanted.stem} of the control plane is there", exist, (own,))],
            "actions": [(require_authority, (own,))],
            "clean": [],
        }
    return {
        "name": wanted.stem,
        "doc": doc,
        "file_dep": ca or (),
        "targets": own,
        "uptodate": [
            config_changed(asdict(wanted)),
            Check(words, is_valid, (wanted, own, ca)),
            settings.certs.reuse,
        ],
        "actions": [(make, (wanted, own, ca, settings.certs.reuse))],
    }


def _service_account(settings: Settings) -> dict[str, Any]:
    key, public = service_account_key(settings), settings.paths.certs / "service-account.pub"
    named = bool(settings.certs.service_account_key)
    source = settings.source("certs.service_account_key") if named else ""
    words = f"{public} is the public half of {key}"
    return {
        "name": "service-account",
        "doc": "key that signs service account tokens",
        "targets": (public,) if named else (key, public),
        "uptodate": [
            config_changed({"key": str(key)}),
            Check(words, is_public_half, (key, public)),
        ],
        "actions": [(make_service_account, (key, public, source))],
    }


def _kubeconfig(settings: Settings, name: str) -> dict[str, Any]:
    path, authority, crt, key = kubeconfig_files(settings, name)
    user = credentials.fields_of(settings, name, crt, key)
    text = partial(kubeconfig.content, kubeconfig.server(settings, name), authority, user)
    return {
        "name": f"kubeconfig-{name}",
        "doc": f"kubeconfig of {name}",
        "file_dep": (authority, crt, key, kubeconfig.TEMPLATE),
        "targets": (path,),
        "uptodate": [Check(f"{path} is as wanted", ownership.is_current, (path, text))],
        "actions": [(ownership.write_private, (path, text))],
    }
