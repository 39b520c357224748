"""Delve port of each component."""

from __future__ import annotations

from tasks.settings.load import Settings

OFFSETS = {
    "kube-apiserver": 9,
    "kube-controller-manager": 7,
    "kube-scheduler": 5,
    "kubelet": 3,
    "kube-proxy": 1,
    "cloud-controller-manager": 11,
}
"""Delve port of a component, counted from debug.base_port; kube-apiserver's is the guide's.

All are odd: Linux gives the near end of a connection an even port as long as there is one, and a
cluster has a hundred connections over loopback, any of which would keep Delve from its port.
"""


def port(settings: Settings, name: str) -> int:
    """Return the Delve port of a component: always the same, so that editors can remember it."""
    return settings.debug.base_port + OFFSETS[name]
