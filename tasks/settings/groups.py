"""GROUPS: all groups of settings by name.

A group is a frozen dataclass, and each field is a setting with its type, default, environment
variable and meaning. Parsing, validation and docs/configuration.md use these fields. The key of a
setting is `group.field`. A setting that hack/local-up-cluster.sh has too keeps upstream's
variable; the variable of any other setting is STEPKUBE_GROUP_FIELD.
"""

from tasks.settings.cluster import Addons, Certs, Debug, Logs, Start, StartWord
from tasks.settings.control_plane import (
    Api,
    CloudControllerManager,
    ControllerManager,
    Etcd,
    Scheduler,
)
from tasks.settings.declare import Pair, option
from tasks.settings.dns import Dns
from tasks.settings.kube_proxy import Proxy
from tasks.settings.kubelet import Kubelet
from tasks.settings.node import Node
from tasks.settings.origin import GUESS, Build, Cgo, Mirror, Order, Origin

__all__ = [
    "GROUPS",
    "GUESS",
    "Addons",
    "Api",
    "Build",
    "Certs",
    "Cgo",
    "CloudControllerManager",
    "ControllerManager",
    "Debug",
    "Dns",
    "Etcd",
    "Kubelet",
    "Logs",
    "Mirror",
    "Node",
    "Order",
    "Origin",
    "Pair",
    "Proxy",
    "Scheduler",
    "Start",
    "StartWord",
    "option",
]

GROUPS: dict[str, type] = {
    "origin": Origin,
    "mirror": Mirror,
    "build": Build,
    "api": Api,
    "etcd": Etcd,
    "controller_manager": ControllerManager,
    "cloud_controller_manager": CloudControllerManager,
    "scheduler": Scheduler,
    "kubelet": Kubelet,
    "proxy": Proxy,
    "dns": Dns,
    "addons": Addons,
    "node": Node,
    "start": Start,
    "certs": Certs,
    "logs": Logs,
    "debug": Debug,
}
