"""The command line that `ps` shows in a manual cluster of 1.10.3, compared with stepkube's."""

from __future__ import annotations

import os
from pathlib import Path

from tasks.components.base import Context
from tasks.components.registry import COMPONENTS
from tasks.kubernetes.facts import Minor
from tasks.settings import load

PS = """
--authorization-mode=Node,RBAC
--runtime-config=admissionregistration.k8s.io/v1alpha1,settings.k8s.io/v1alpha1
--cloud-provider= --cloud-config= --v=3 --vmodule= --cert-dir=/var/run/kubernetes
--client-ca-file=/var/run/kubernetes/client-ca.crt
--service-account-key-file=/tmp/kube-serviceaccount.key --service-account-lookup=true
--enable-admission-plugins=Initializers,LimitRanger,ServiceAccount,DefaultStorageClass,DefaultTolerationSeconds,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,ResourceQuota,PodPreset,StorageObjectInUseProtection
--disable-admission-plugins= --admission-control-config-file=
--bind-address=0.0.0.0 --secure-port=6443
--tls-cert-file=/var/run/kubernetes/serving-kube-apiserver.crt
--tls-private-key-file=/var/run/kubernetes/serving-kube-apiserver.key
--insecure-bind-address=127.0.0.1 --insecure-port=8080
--storage-backend=etcd3 --etcd-servers=http://127.0.0.1:2379
--service-cluster-ip-range=10.0.0.0/24 --feature-gates=AllAlpha=false
--external-hostname=localhost
--requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group
--requestheader-extra-headers-prefix=X-Remote-Extra-
--requestheader-client-ca-file=/var/run/kubernetes/request-header-ca.crt
--requestheader-allowed-names=system:auth-proxy
--proxy-client-cert-file=/var/run/kubernetes/client-auth-proxy.crt
--proxy-client-key-file=/var/run/kubernetes/client-auth-proxy.key
--cors-allowed-origins=/127.0.0.1(:[0-9]+)?$,/localhost(:[0-9]+)?$
""".split()  # noqa: SIM905
LIKE_THERE = {
    "API_BIND_ADDR": "0.0.0.0",
    "API_PORT": "8080",
    "API_CORS_ALLOWED_ORIGINS": "/127.0.0.1(:[0-9]+)?$,/localhost(:[0-9]+)?$",
    "CERT_DIR": "/var/run/kubernetes",
    "SERVICE_ACCOUNT_KEY": "/tmp/kube-serviceaccount.key",
    "STEPKUBE_NODE_SANDBOX": "false",
    "STEPKUBE_DEBUG_PAUSE_TOLERANT": "false",
}
ONLY_HERE = {
    "--allow-privileged=true",
    "--storage-media-type=application/vnd.kubernetes.protobuf",
    "--kubelet-client-certificate=/var/run/kubernetes/client-kube-apiserver.crt",
    "--kubelet-client-key=/var/run/kubernetes/client-kube-apiserver.key",
    "--kubelet-preferred-address-types=Hostname,InternalIP",
    "--etcd-cafile=/var/run/kubernetes/etcd-ca.crt",
    "--etcd-certfile=/var/run/kubernetes/client-etcd.crt",
    "--etcd-keyfile=/var/run/kubernetes/client-etcd.key",
}
WITH_TLS = {"--etcd-servers=http://127.0.0.1:2379": "--etcd-servers=https://127.0.0.1:2379"}


def test_its_settings_make_its_command_line_and_eight_flags_more() -> None:
    chosen = load.load({"STEPKUBE_HOME": "/workspace", **LIKE_THERE}, {}, Path(os.devnull))
    context = Context(chosen, Minor(1, 10), Path("/bin/kube-apiserver"))
    made = COMPONENTS["kube-apiserver"].build(context).argv[1:]
    expected = [WITH_TLS.get(flag, flag) for flag in PS]
    assert [flag for flag in made if flag not in ONLY_HERE] == expected
    assert set(made) - set(expected) == ONLY_HERE
