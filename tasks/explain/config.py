"""List of all settings: `doit config` prints the values in use, docs/configuration.md the table."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from tasks.check import tasks as check
from tasks.check import versions
from tasks.cli.task import ANSWER, action
from tasks.core import console
from tasks.settings import groups
from tasks.settings.load import Settings
from tasks.settings.table import Row, table

HEADER = """# Configuration

You can give a setting in `stepkube.yaml` (by its key), in the environment (by its variable) or on
the command line (`doit up api.secure_port=7443`). The command line has priority over the
environment, the environment over the file, the file over the default. Variables of
`hack/local-up-cluster.sh` keep their names.

Three variables are not settings: `STEPKUBE_HOME` moves the workspace (default: `.stepkube` next to
`dodo.py`), `STEPKUBE_CONFIG` names another file than `stepkube.yaml`, and `STEPKUBE_DEBUG=1` adds
tracebacks to errors. Any other variable that begins with `STEPKUBE_` and is not in this list is an
error. So are an unknown key, and a key that is in the file twice. `version: 1.20` works with and
without quotes.

An empty variable counts as not set. "from" and "up to" name the Kubernetes versions that have a
setting; for other versions it is an error. "The variable from" and "the variable up to" name the
versions whose `hack/local-up-cluster.sh` reads the variable; for other versions the variable is an
error, but the key works. `doit check` reports what is wrong with the settings before anything is
built.

## Differences from the script

- The admission switches (`PSP_ADMISSION` and so on) can be combined; in the script one overwrites
  another. `ENABLE_ADMISSION_PLUGINS` works in every version and adds to the default list.
- The default of `API_CORS_ALLOWED_ORIGINS` has a format that 1.27 and newer accept too.
- Everything listens on loopback: `API_BIND_ADDR` is 127.0.0.1, not 0.0.0.0. The insecure port is
  off: `API_PORT` is 0, not 8080.
- etcd accepts only clients with a certificate of the CA `etcd-ca`; kube-apiserver has one.
- `ENABLE_DAEMON` is true: `doit up` returns while the cluster runs.
- `ALLOW_PRIVILEGED` is true. In every version the kubelet asks kube-apiserver who its clients are
  and what they may do (`KUBELET_AUTHENTICATION_WEBHOOK`, `KUBELET_AUTHORIZATION_WEBHOOK`).
- `KUBE_CACHE_MUTATION_DETECTOR` is false: it copies and compares every object in the caches.
- `EVICTION_HARD` requires 500 MiB of free disk, not 10%. `EVICTION_SOFT` gets a grace period
  (`kubelet.eviction_soft_grace_period`): the script passes none, and the kubelet refuses that.
- Folders that the script has below `/tmp`, `/var/run` and `/var/lib` (`CERT_DIR`, `LOG_DIR`,
  `POD_MANIFEST_PATH`, `SERVICE_ACCOUNT_KEY`, the kubelet's own) are in the instance's folder.
- `CONTAINER_RUNTIME` is remote, and stepkube starts its own containerd.
- With `DOCKERIZE_KUBELET`, the kubelet in the container is the one that stepkube builds; the image
  only has the programs that it calls.
- `PRESERVE_ETCD` and `REUSE_CERTS` are true: objects and certificates stay unless you set them to
  false.
- Certificate requests are signed by the CA that kube-apiserver trusts, in every version.
- An audit log is written only if `AUDIT_POLICY_FILE` is set.
- `KUBECONFIG_TOKEN`, which the scripts read and do not use, is a token of the administrator.
  `AUTH_ARGS`, which they print, makes `user.kubeconfig`.
- If root creates the credentials, `USER` gets those of the administrator, and no other key.
- `LEADER_ELECT` has priority over `debug.pause_tolerant`.
- `CNI_CONF_DIR` and `CNI_CONFIG_DIR` are only read, and must contain a network.
- CNI plugins are built from their module. With `CNI_PLUGINS_VERSION` and the
  `CNI_PLUGINS_..._SHA256SUM` of this machine's architecture, the release archive with that digest
  is used.
"""


def markdown() -> str:
    """Return the text of docs/configuration.md, generated from the table of settings."""
    parts = [HEADER]
    group = ""
    for row in table():
        name = row.key.partition(".")[0] if "." in row.key else "general"
        if name != group:
            group = name
            kind = groups.GROUPS.get(group)
            title = (
                (kind.__doc__ or "").strip()
                if kind
                else "Kubernetes version and name of the cluster."
            )
            parts.append(f"\n## {group}\n\n{title}\n\n| key | variable | default | meaning |")
            parts.append("| --- | --- | --- | --- |")
        parts.append(f"| `{row.key}` | `{row.env}` | {_cell(row.default)} | {_meaning(row)} |")
    return "\n".join(parts) + "\n"


def lines(settings: Settings) -> list[str]:
    """Return one line per setting: key, value and source."""
    shown = []
    for row in table():
        value = settings.value(row.key)
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        text = "(not shown)" if row.secret and text else text
        source = settings.sources[row.key] + _version_note(row, settings, value)
        shown.append(f"{row.key:<42} {text or '-':<44} {source}")
    return shown


def _version_note(row: Row, settings: Settings, value: Any) -> str:
    """Return a note if the checkout's Kubernetes version does not know a setting that is set."""
    minor, source = check.minor(settings), settings.sources[row.key]
    if minor is None or source == "default" or value == row.default:
        return ""
    failure = versions.refusal(row, source, minor)
    return f" - NOT KNOWN: {failure.message.partition(': ')[2]}" if failure else ""


@action
def config(settings: Settings) -> None:
    """Print every setting."""
    for line in lines(settings):
        console.say(line)


def _cell(default: Any) -> str:
    if isinstance(default, tuple):
        default = ", ".join(default)
    if isinstance(default, bool):
        default = str(default).lower()
    return f"`{str(default).replace('|', chr(92) + '|')}`" if default != "" else ""


def _meaning(row: Row) -> str:
    text = row.doc.replace("|", "\\|")
    kind = get_args(row.kind)[0] if get_origin(row.kind) is tuple else row.kind
    if get_origin(kind) is Literal:
        text += " (" + ", ".join(f"`{choice}`" for choice in get_args(kind) if choice) + ")"
    if row.since:
        text += f"; from {row.since}"
    if row.until:
        text += f"; up to {row.until}"
    since = row.variable_since if row.variable_since != row.since else ""
    until = row.variable_until if row.variable_until != row.until else ""
    if since or until:
        span = (f"from {since}" if since else "") + (f" up to {until}" if until else "")
        text += f"; the variable {span.strip()}"
    if row.secret:
        text += "; not shown, and refused on the command line"
    return text


def task_config(settings: Settings) -> dict[str, Any]:
    """Return the task that prints all settings."""
    return {
        "doc": "show every setting with its value and source",
        "actions": [(config, [settings])],
        "uptodate": [False],
        "meta": ANSWER,
    }
