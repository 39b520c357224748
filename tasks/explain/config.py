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

An empty variable counts as not set. A key without a value makes a text or a list empty; for other
settings it counts as not set. "from" and "up to" name the Kubernetes versions that have a
setting; for other versions it is an error. "The variable from" and "the variable up to" name the
versions whose `hack/local-up-cluster.sh` reads the variable; for other versions the variable is an
error, but the key works. `doit check` reports what is wrong with the settings before anything is
built.

## Values in stepkube.yaml

Numbers, dates and words such as `off` are read as they are written: `version: 1.20`,
`mirror.gosumdb: off` and a commit like `0123456` need no quotes. A setting with several parts is
one text, or a list or mapping of YAML. An item of a list contains no comma.

- `A=true,B=false` or `{A: true, B: false}`: `start.feature_gates`, `api.runtime_config`,
  `kubelet.cpumanager_policy_options`, `logs.spec`.
- `A,B` or `[A, B]`: `api.enable_admission_plugins`, `api.disable_admission_plugins`,
  `api.authorization_mode`, `api.cors_allowed_origins`, `controller_manager.controllers`,
  `mirror.goproxy`, `api.service_cluster_ip_range`, `controller_manager.cluster_cidr`,
  `node.address`, and every setting whose default is a list.
- `memory.available<100Mi` or `{memory.available: 100Mi}`: `kubelet.eviction_hard`,
  `kubelet.eviction_soft`. `kubelet.eviction_soft_grace_period` is `90s` for all signals, or
  `{memory.available: 90s}`.
- `--max-pods=5 --node-labels=a=b` with shell quoting, a list of arguments, or
  `{max-pods: 5, node-labels: {a: b}}`: `kubelet.flags`, `cloud_controller_manager.flags`,
  `certs.auth_args`, `node.docker_opts`. A list as the value of a flag repeats the flag.

```yaml
start:
  feature_gates: {AllAlpha: false, EphemeralContainers: true}
kubelet:
  eviction_hard: {memory.available: 100Mi, nodefs.available: 1Gi}
  flags: [--max-pods=20, --node-labels=disk=ssd]
```

## Flags of components

`kubelet.flags` and `cloud_controller_manager.flags` come last on the command line, so they have
priority over the flags of stepkube. A flag of yours that the component does not know is an error
that names the flag, its source and the most similar flag. `doit up` finds it before it restarts
anything. stepkube leaves out only its own flags. A flag that has one value and is set twice is an
error too; so is an argument that is not a flag.

## Paths

A relative path starts at the folder of its source: in `stepkube.yaml` at the folder of this file,
in the environment and on the command line at the folder in which you called doit. This is also true
for `STEPKUBE_HOME` and `STEPKUBE_CONFIG`. `~` is your home folder, `~NAME` that of another user.
In `stepkube.yaml`, `$NAME` and `${NAME}` are variables of the environment, and `$$` is a dollar
sign; a variable that is not set is an error. `start.kubectl` and `node.rkt_path` are names of
programs if they contain no `/`. Sockets (`node.container_runtime_endpoint`) are absolute.

## Two address ranges (dual stack)

`api.service_cluster_ip_range` and `controller_manager.cluster_cidr` can have two ranges, one of
IPv4 and one of IPv6, from Kubernetes 1.20 on. stepkube switches the feature gate IPv6DualStack on
where it is off by default (1.20). Then pods, the node in its sandbox (`node.address`, by default
`10.99.0.1,fd99:5eed::1`), and services with `ipFamilyPolicy: PreferDualStack` have an address of
each family. The first range is that of the service `kubernetes`; with a sandbox it is IPv4.

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
