"""Tasks certs:<name>: certificate authorities, certificates, kubeconfigs, service account key.

The names of files, users and groups are those of hack/local-up-cluster.sh.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from tasks.certs import credentials, kubeconfig, ownership
from tasks.certs.certificates import Certificate, PairPaths, certificates
from tasks.cli.task import Check, action, config_changed
from tasks.core import derived
from tasks.core.errors import Failure
from tasks.settings.cert_files import CLIENTS, kubeconfig_files, pair, service_account_key
from tasks.settings.load import Settings
from tasks.system import damage, files
from tasks.system.damage import DamagedError


def is_valid(desired: Certificate, paths: PairPaths, ca: PairPaths | None) -> bool:
    """Return whether the pair on disk is complete, has the desired content and 30 more days."""
    inputs = [*paths, *(ca or ()), *_checkers()]
    try:
        start, end = derived.value(
            f"validity of {paths[0]} as {desired!r}", inputs, partial(_validity, desired, paths, ca)
        )
        return bool(start <= time.time() < end)
    except PermissionError:
        raise  # do not replace a file that this user cannot read
    except Exception:  # missing, damaged, or signed by an old authority
        return False


def _validity(desired: Certificate, paths: PairPaths, ca: PairPaths | None) -> tuple[float, float]:
    from tasks.certs import pki  # noqa: PLC0415 - `doit list` stays fast

    return pki.validity(desired, pki.read(*paths), pki.read(*ca) if ca else None)


@functools.cache
def _checkers() -> tuple[Path, ...]:
    """Return the files whose code decides what is valid: another release can decide differently."""
    ours = (Path(__file__).with_name(name) for name in ("pki.py", "certificates.py"))
    return (*ours, *derived.origin("cryptography"))


@action
def require_authority(paths: PairPaths) -> None:
    """Raise Failure if an authority of the control plane is missing (START_MODE=kubeletonly)."""
    from tasks.certs import pki  # noqa: PLC0415 - `doit list` stays fast

    missing = next((path for path in paths if not path.is_file()), None)
    if missing:
        raise Failure(
            f"START_MODE=kubeletonly needs the authority of a control plane: {missing} does not"
            " exist",
            "start a control plane in this instance first (START_MODE=nokubelet doit up), or copy"
            " server-ca and client-ca, .crt and .key, of another control plane to"
            f" {missing.parent}",
        )
    try:
        pki.require_pair(pki.read(*paths))
    except (DamagedError, ValueError, TypeError) as error:
        raise Failure(
            f"{paths[0]} and {paths[1].name} are damaged: {error}",
            "copy both files again from the control plane",
        ) from error


def is_pair(paths: PairPaths) -> bool:
    """Return whether a certificate and its key can be used. Raises an error for damaged files."""
    from tasks.certs import pki  # noqa: PLC0415 - `doit list` stays fast

    pki.require_pair(pki.read(*paths))
    return True


@action
def make(desired: Certificate, paths: PairPaths, ca: PairPaths | None, reuse: bool = True) -> None:
    """Write a new certificate and key, unless `reuse` is true and the pair on disk is valid."""
    from tasks.certs import pki  # noqa: PLC0415 - `doit list` stays fast

    crt, key = paths
    crt.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.locked(crt.parent / ".lock"):
        if reuse and is_valid(desired, paths, ca):
            return
        issued = pki.issue(desired, pki.read(*ca) if ca else None)
        files.remove(crt)  # no certificate of another key remains after an interruption
        files.write(key, issued.key, 0o600)
        files.write(crt, issued.crt)


def is_public_key_of(key: Path, public: Path) -> bool:
    """Return whether `public` is the public key of the private key `key`."""

    def derive() -> bytes:
        from tasks.certs import pki  # noqa: PLC0415 - `doit list` stays fast

        return pki.public_key_of(damage.read_bytes(key))

    inputs = [key, *_checkers()]
    derived_key = derived.value(f"public key of {key}", inputs, derive)
    return bool(derived_key == damage.read_bytes(public))


@action
def make_service_account(key: Path, public: Path, source: str) -> None:
    """Write the public key; write a new private key too, unless the user configured one.

    `source` is the source of that setting, empty if unset. Raises Failure for an invalid key.
    """
    from tasks.certs import pki  # noqa: PLC0415 - `doit list` stays fast

    public.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.locked(public.parent / ".lock"):
        try:
            content = pki.public_key_of(damage.read_bytes(key))
        except (FileNotFoundError, ValueError, DamagedError):
            if source:
                raise Failure(
                    f"{source}: {key} is not an RSA or ECDSA private key",
                    "set it to an unencrypted PEM file, or unset it to use a new key",
                ) from None
            private = pki.new_key()
            content = pki.public_key_of(private)
            files.write(key, private, 0o600)
        files.write_if_changed(public, content)


def task_certs(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the tasks of the certificates, keys and kubeconfigs."""
    yield {"name": None, "doc": "make certificates, keys and kubeconfigs"}
    tasks = [_certificate(settings, desired) for desired in certificates(settings)]
    tasks += [_service_account(settings)]
    tasks += [_kubeconfig(settings, name) for name in CLIENTS]
    tasks += ownership.tasks(settings)
    yield from ({"clean": True, "meta": {"quiet": True}, **task} for task in tasks)


def _certificate(settings: Settings, desired: Certificate) -> dict[str, Any]:
    kind = {
        "authority": "certificate authority",
        "server": "serving certificate",
        "peer": "serving certificate",
    }
    message = f"{desired.stem} has the desired content and is valid for 30 more days"
    paths, ca = pair(settings, desired.stem), pair(settings, desired.ca) if desired.ca else None
    doc = f"{kind.get(desired.usage, 'client certificate')} {desired.common_name}"
    if desired.usage == "authority" and not settings.start.control_plane:
        return {
            "name": desired.stem,
            "doc": doc,
            "targets": paths,
            "uptodate": [Check(f"{desired.stem} of the control plane exists", is_pair, (paths,))],
            "actions": [(require_authority, (paths,))],
            "clean": [],
        }
    return {
        "name": desired.stem,
        "doc": doc,
        "file_dep": ca or (),
        "targets": paths,
        "uptodate": [
            config_changed(asdict(desired)),
            Check(message, is_valid, (desired, paths, ca)),
            settings.certs.reuse,
        ],
        "actions": [(make, (desired, paths, ca, settings.certs.reuse))],
    }


def _service_account(settings: Settings) -> dict[str, Any]:
    key, public = service_account_key(settings), settings.paths.certs / "service-account.pub"
    configured = bool(settings.certs.service_account_key)
    source = settings.source("certs.service_account_key") if configured else ""
    message = f"{public} is the public key of {key}"
    return {
        "name": "service-account",
        "doc": "key that signs service account tokens",
        "targets": (public,) if configured else (key, public),
        "uptodate": [
            config_changed({"key": str(key)}),
            Check(message, is_public_key_of, (key, public)),
        ],
        "actions": [(make_service_account, (key, public, source))],
    }


def _kubeconfig(settings: Settings, name: str) -> dict[str, Any]:
    path, authority, crt, key = kubeconfig_files(settings, name)
    user = credentials.client_credentials(settings, name, crt, key)
    content = partial(kubeconfig.content, kubeconfig.server(settings, name), authority, user)
    return {
        "name": f"kubeconfig-{name}",
        "doc": f"kubeconfig of {name}",
        "file_dep": (authority, crt, key, kubeconfig.TEMPLATE),
        "targets": (path,),
        "uptodate": [Check(f"{path} is current", ownership.is_current, (path, content))],
        "actions": [(ownership.write_private, (path, content))],
    }
