"""Every variable of the reference script and of upstream's later ones, as data for test_variables.

ALWAYS and SPANS say which versions' hack/local-up-cluster.sh reads a variable, as far as that was
seen in source trees: it is not in the tree of the one minor, first in that of the next, and so on.
EFFECTS says of each variable an example and what it changes. To add one: a row there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tasks.kubernetes import facts

OLDEST, *_, NEWEST = map(str, facts.minors())

ALWAYS = """
ALLOW_PRIVILEGED RUNTIME_CONFIG KUBELET_AUTHORIZATION_WEBHOOK KUBELET_AUTHENTICATION_WEBHOOK
POD_MANIFEST_PATH KUBELET_FLAGS FAIL_SWAP_ON SERVICE_CLUSTER_IP_RANGE FIRST_SERVICE_CLUSTER_IP
CGROUPS_PER_QOS CGROUP_DRIVER USER EVICTION_HARD EVICTION_SOFT
EVICTION_PRESSURE_TRANSITION_PERIOD KUBE_PROXY_MODE KUBE_ENABLE_CLUSTER_DNS KUBE_DNS_SERVER_IP
KUBE_DNS_NAME WAIT_FOR_URL_API_SERVER ENABLE_DAEMON HOSTNAME_OVERRIDE EXTERNAL_CLOUD_PROVIDER
EXTERNAL_CLOUD_PROVIDER_BINARY CLOUD_PROVIDER CLOUD_CONFIG FEATURE_GATES STORAGE_BACKEND
AUTHORIZATION_MODE KUBECONFIG_TOKEN AUTH_ARGS KUBE_DEFAULT_STORAGE_CLASS
KUBE_CACHE_MUTATION_DETECTOR KUBE_PANIC_WATCH_DECODE_ERROR ENABLE_ADMISSION_PLUGINS
DISABLE_ADMISSION_PLUGINS ADMISSION_CONTROL_CONFIG_FILE START_MODE KUBE_CONTROLLERS GO_OUT
API_PORT API_SECURE_PORT API_HOST API_HOST_IP ADVERTISE_ADDRESS API_BIND_ADDR EXTERNAL_HOSTNAME
KUBELET_HOST API_CORS_ALLOWED_ORIGINS KUBELET_PORT LOG_LEVEL LOG_SPEC LOG_DIR
CONTAINER_RUNTIME_ENDPOINT IMAGE_SERVICE_ENDPOINT CPU_CFS_QUOTA ENABLE_HOSTPATH_PROVISIONER
CLAIM_BINDER_SYNC_PERIOD ENABLE_CONTROLLER_ATTACH_DETACH CERT_DIR CLUSTER_SIGNING_CERT_FILE
CLUSTER_SIGNING_KEY_FILE ETCD_DIR SERVICE_ACCOUNT_LOOKUP SERVICE_ACCOUNT_KEY
ENABLE_SINGLE_CA_SIGNER CLIENT_CA_FILE KUBETEST_IN_DOCKER
"""
SPANS = """
# variable                           not in first  last   gone by
DOCKER_OPTS                          -      -      1.28   1.35
DOCKERIZE_KUBELET                    -      -      1.13   1.14
DENY_SECURITY_CONTEXT_ADMISSION      -      -      1.28   1.35
PSP_ADMISSION                        -      -      1.24   1.25
NODE_ADMISSION                       -      -      1.23   1.24
NET_PLUGIN                           -      -      1.23   1.24
CNI_CONF_DIR                         -      -      1.23   1.24
CNI_BIN_DIR                          -      -      1.23   1.24
KUBECTL                              -      -      1.28   1.35
ENABLE_SWAGGER_UI                    -      -      1.13   1.14
ENABLE_POD_PRIORITY_PREEMPTION       -      -      1.15   1.19
KUBE_ENABLE_CLUSTER_DASHBOARD        -      -      1.23   1.24
ENABLE_APISERVER_BASIC_AUDIT         -      -      1.11   1.12
CONTAINER_RUNTIME                    -      -      1.25   1.28
RKT_PATH                             -      -      1.10   1.11
RKT_STAGE1_IMAGE                     -      -      1.10   1.11
CHAOS_CHANCE                         -      -      1.20   1.23
KEEP_TERMINATED_POD_VOLUMES          -      -      1.11   1.12
DOCKER_ROOT                          1.10   1.11   1.28   1.35
KUBELET_IMAGE                        1.10   1.11   -      -
MAX_TIME_FOR_URL_API_SERVER          1.10   1.11   -      -
PRESERVE_ETCD                        1.10   1.11   -      -
NODE_PORT_RANGE                      1.10   1.11   -      -
CGROUP_ROOT                          1.12   1.13   -      -
KUBE_ENABLE_NODELOCAL_DNS            1.12   1.13   -      -
KUBE_LOCAL_DNS_IP                    1.12   1.13   -      -
REUSE_CERTS                          1.12   1.13   -      -
KUBE_DNS_MEMORY_LIMIT                1.14   1.15   -      -
STORAGE_MEDIA_TYPE                   1.13   1.14   -      -
AUDIT_POLICY_FILE                    1.13   1.14   -      -
RUNTIME_REQUEST_TIMEOUT              1.14   1.15   -      -
CLUSTER_CIDR                         1.15   1.19   -      -
EXTERNAL_CLOUD_VOLUME_PLUGIN         1.15   1.19   -      -
KUBELET_PROVIDER_ID                  1.15   1.19   -      -
ENABLE_CSI_SNAPSHOTTER               1.15   1.19   -      -
AUTHORIZATION_WEBHOOK_CONFIG_FILE    1.15   1.19   -      -
AUTHENTICATION_WEBHOOK_CONFIG_FILE   1.15   1.19   -      -
DNS_ADDON                            1.20   1.23   -      -
CONFIGURE_CLOUD_ROUTES               1.20   1.23   -      -
KUBELET_RESOLV_CONF                  1.20   1.23   -      -
KUBELET_READ_ONLY_PORT               1.20   1.23   -      -
EGRESS_SELECTOR_CONFIG_FILE          1.20   1.23   -      -
CNI_CONFIG_DIR                       1.23   1.24   -      -
CNI_PLUGINS_VERSION                  1.23   1.24   -      -
CNI_TARGETARCH                       1.23   1.24   -      -
CNI_PLUGINS_AMD64_SHA256SUM          1.23   1.24   1.28   1.35
CNI_PLUGINS_ARM64_SHA256SUM          1.23   1.24   1.28   1.35
CNI_PLUGINS_PPC64LE_SHA256SUM        1.23   1.24   1.28   1.35
CNI_PLUGINS_S390X_SHA256SUM          1.23   1.24   1.28   1.35
CLOUD_CTLRMGR_FLAGS                  1.23   1.24   -      -
LIMITED_SWAP                         1.25   1.28   -      -
ENABLE_TRACING                       1.25   1.28   -      -
TMP_DIR                              1.25   1.28   -      -
LOCAL_STORAGE_CAPACITY_ISOLATION     1.25   1.28   -      -
KUBE_VERBOSE                         1.28   1.35   -      -
EMULATED_VERSION                     1.28   1.35   -      -
TOPOLOGY_MANAGER_POLICY              1.28   1.35   -      -
CPUMANAGER_POLICY                    1.28   1.35   -      -
CPUMANAGER_RECONCILE_PERIOD          1.28   1.35   -      -
CPUMANAGER_POLICY_OPTIONS            1.28   1.35   -      -
LEADER_ELECT                         1.28   1.35   -      -
KUBELET_HEALTHZ_PORT                 1.28   1.35   -      -
PROXY_METRICS_PORT                   1.28   1.35   -      -
PROXY_HEALTHZ_PORT                   1.28   1.35   -      -
KCM_SECURE_PORT                      1.28   1.35   -      -
SCHEDULER_SECURE_PORT                1.28   1.35   -      -
AUTHORIZATION_CONFIG                 1.28   1.35   -      -
"""

CLOUD = {"EXTERNAL_CLOUD_PROVIDER": "true"}
HOST = {"STEPKUBE_NODE_SANDBOX": "false"}
DOCKER = {**HOST, "CONTAINER_RUNTIME": "docker"}
RKT = {**HOST, "CONTAINER_RUNTIME": "rkt"}


@dataclass(frozen=True)
class Effect:
    """What a variable does: with `value`, a word with `shows` in it appears in the cluster.

    Words are "COMPONENT SECTION WORD" and the like, see `test_variables.words`. {file} is a file
    that is there, {cni} a folder of a CNI network, {plugins} one of CNI plugins. `needs` are
    variables that have to be there too; `works` are the first and last minor that can do it, where
    these are fewer than those whose script reads it; with `refused`, the value is an error that
    says so; `everywhere` has no minor at which the variable is wrong; `alone` has a test of its
    own in test_variables.
    """

    value: str
    shows: str = ""
    needs: dict[str, str] = field(default_factory=dict)
    works: tuple[str, str] = (OLDEST, NEWEST)
    refused: str = ""
    everywhere: bool = False
    alone: bool = False


EFFECTS: dict[str, Effect] = {
    # kube-apiserver
    "API_PORT": Effect("8080", "--insecure-port=8080", works=("1.10", "1.19")),
    "API_SECURE_PORT": Effect("7443", "kube-apiserver flags --secure-port=7443"),
    "API_HOST": Effect("api.example", "server https://api.example:6443"),
    "API_HOST_IP": Effect("192.0.2.7", "'192.0.2.7'"),
    "API_BIND_ADDR": Effect("127.0.0.2", "kube-apiserver flags --bind-address=127.0.0.2"),
    "API_CORS_ALLOWED_ORIGINS": Effect("//a.example$", "--cors-allowed-origins=//a.example$"),
    "ADVERTISE_ADDRESS": Effect("192.0.2.8", "--advertise-address=192.0.2.8"),
    "EXTERNAL_HOSTNAME": Effect("outside", "--external-hostname=outside"),
    "ALLOW_PRIVILEGED": Effect("false", "kube-apiserver flags --allow-privileged=false"),
    "AUTHORIZATION_MODE": Effect("RBAC", "--authorization-mode=RBAC"),
    "AUTHORIZATION_CONFIG": Effect("{file}", "--authorization-config={file}"),
    "AUTHORIZATION_WEBHOOK_CONFIG_FILE": Effect(
        "{file}",
        "--authorization-webhook-config-file={file}",
        {"AUTHORIZATION_MODE": "RBAC,Webhook"},
    ),
    "AUTHENTICATION_WEBHOOK_CONFIG_FILE": Effect(
        "{file}", "--authentication-token-webhook-config-file={file}"
    ),
    "RUNTIME_CONFIG": Effect("batch/v2alpha1=true", "--runtime-config=batch/v2alpha1=true"),
    "ENABLE_ADMISSION_PLUGINS": Effect("AlwaysPullImages", "AlwaysPullImages"),
    "DISABLE_ADMISSION_PLUGINS": Effect("LimitRanger", "--disable-admission-plugins=LimitRanger"),
    "ADMISSION_CONTROL_CONFIG_FILE": Effect("{file}", "--admission-control-config-file={file}"),
    "DENY_SECURITY_CONTEXT_ADMISSION": Effect("true", "SecurityContextDeny"),
    "PSP_ADMISSION": Effect("true", "PodSecurityPolicy"),
    "NODE_ADMISSION": Effect("true", "NodeRestriction"),
    "ENABLE_POD_PRIORITY_PREEMPTION": Effect("true", ",Priority"),
    "ENABLE_SWAGGER_UI": Effect("true", "--enable-swagger-ui=true"),
    "ENABLE_APISERVER_BASIC_AUDIT": Effect("true", "--audit-log-path="),
    "AUDIT_POLICY_FILE": Effect("{file}", "--audit-policy-file={file}"),
    "EGRESS_SELECTOR_CONFIG_FILE": Effect("{file}", "--egress-selector-config-file={file}"),
    "SERVICE_CLUSTER_IP_RANGE": Effect(
        "10.96.0.0/16",
        "--service-cluster-ip-range=10.96.0.0/16",
        {"FIRST_SERVICE_CLUSTER_IP": "10.96.0.1", "KUBE_DNS_SERVER_IP": "10.96.0.10"},
    ),
    "FIRST_SERVICE_CLUSTER_IP": Effect("10.0.0.3", "'10.0.0.3'"),
    "NODE_PORT_RANGE": Effect("30000-30100", "--service-node-port-range=30000-30100"),
    "STORAGE_BACKEND": Effect("etcd2", "--storage-backend=etcd2", works=("1.10", "1.12")),
    "STORAGE_MEDIA_TYPE": Effect("application/json", "--storage-media-type=application/json"),
    "SERVICE_ACCOUNT_LOOKUP": Effect("false", "--service-account-lookup=false"),
    "WAIT_FOR_URL_API_SERVER": Effect("7", "patience 7.0"),
    "MAX_TIME_FOR_URL_API_SERVER": Effect("5", "kube-apiserver timeout 5"),
    "EMULATED_VERSION": Effect("1.30", "kube-scheduler flags --emulated-version=kube=1.30"),
    # the other parts of the control plane
    "KCM_SECURE_PORT": Effect("7257", "kube-controller-manager flags --secure-port=7257"),
    "KUBE_CONTROLLERS": Effect("*,-ttl", "--controllers=*,-ttl"),
    "CLAIM_BINDER_SYNC_PERIOD": Effect("3s", "--pvclaimbinder-sync-period=3s"),
    "ENABLE_HOSTPATH_PROVISIONER": Effect("true", "--enable-hostpath-provisioner=true"),
    "CLUSTER_SIGNING_CERT_FILE": Effect(
        "{file}", "--cluster-signing-cert-file={file}", {"CLUSTER_SIGNING_KEY_FILE": "{file}"}
    ),
    "CLUSTER_SIGNING_KEY_FILE": Effect(
        "{file}", "--cluster-signing-key-file={file}", {"CLUSTER_SIGNING_CERT_FILE": "{file}"}
    ),
    "CLUSTER_CIDR": Effect("10.2.0.0/16", "10.2.0.0/16"),
    "SCHEDULER_SECURE_PORT": Effect("7259", "kube-scheduler flags --secure-port=7259"),
    "LEADER_ELECT": Effect("true", "kube-scheduler flags --leader-elect=true"),
    "ETCD_DIR": Effect("/x/etcd", "etcd flags --data-dir=/x/etcd"),
    "PRESERVE_ETCD": Effect("false", alone=True),
    "FEATURE_GATES": Effect("A=true", "kube-scheduler flags --feature-gates=A=true"),
    "START_MODE": Effect("kubeletonly", alone=True),
    "ENABLE_DAEMON": Effect("false", alone=True),
    "GO_OUT": Effect("/x/bin", alone=True),
    "KUBE_CACHE_MUTATION_DETECTOR": Effect("true", "KUBE_CACHE_MUTATION_DETECTOR=true"),
    "KUBE_PANIC_WATCH_DECODE_ERROR": Effect("false", "KUBE_PANIC_WATCH_DECODE_ERROR=false"),
    "CLOUD_PROVIDER": Effect("aws", "kube-controller-manager flags --cloud-provider=aws"),
    "CLOUD_CONFIG": Effect("{file}", "kube-controller-manager flags --cloud-config={file}"),
    "EXTERNAL_CLOUD_PROVIDER": Effect("true", "kubelet flags --cloud-provider=external"),
    # kubelet
    "KUBELET_HOST": Effect("127.0.0.2", 'address: "127.0.0.2"', HOST),
    "KUBELET_PORT": Effect("7250", "port: 7250"),
    "KUBELET_HEALTHZ_PORT": Effect("7248", "healthzPort: 7248"),
    "KUBELET_READ_ONLY_PORT": Effect("7255", "readOnlyPort: 7255"),
    "KUBELET_FLAGS": Effect("--max-pods=7", "kubelet flags --max-pods=7"),
    "KUBELET_RESOLV_CONF": Effect("{file}", 'resolvConf: "{file}"'),
    "KUBELET_PROVIDER_ID": Effect("x://1", "--provider-id=x://1"),
    "KUBELET_AUTHENTICATION_WEBHOOK": Effect("false", "    enabled: false", HOST),
    "KUBELET_AUTHORIZATION_WEBHOOK": Effect("false", "mode: AlwaysAllow"),
    "HOSTNAME_OVERRIDE": Effect("node-b", "--hostname-override=node-b"),
    "FAIL_SWAP_ON": Effect("true", "failSwapOn: true"),
    "LIMITED_SWAP": Effect("true", "LimitedSwap", {"FEATURE_GATES": "NodeSwap=true"}),
    "CGROUPS_PER_QOS": Effect("false", "cgroupsPerQOS: false"),
    "CGROUP_DRIVER": Effect("systemd", "cgroupDriver: systemd"),
    "CGROUP_ROOT": Effect("/mine", 'cgroupRoot: "/mine"'),
    "CPU_CFS_QUOTA": Effect("false", "cpuCFSQuota: false"),
    "ENABLE_CONTROLLER_ATTACH_DETACH": Effect("false", "enableControllerAttachDetach: false"),
    "EVICTION_HARD": Effect("memory.available<7Mi", '"memory.available": "7Mi"'),
    "EVICTION_SOFT": Effect("memory.available<9Mi", '"memory.available": "9Mi"'),
    "EVICTION_PRESSURE_TRANSITION_PERIOD": Effect("9s", 'TransitionPeriod: "9s"'),
    "POD_MANIFEST_PATH": Effect("/x/manifests", 'staticPodPath: "/x/manifests"'),
    "CLIENT_CA_FILE": Effect("{file}", 'clientCAFile: "{file}"'),
    "CHAOS_CHANCE": Effect("0.5", "--chaos-chance=0.5"),
    "KEEP_TERMINATED_POD_VOLUMES": Effect("false", "--keep-terminated-pod-volumes=false"),
    "LOCAL_STORAGE_CAPACITY_ISOLATION": Effect("false", "localStorageCapacityIsolation: false"),
    "ENABLE_TRACING": Effect("true", "samplingRatePerMillion"),
    "TOPOLOGY_MANAGER_POLICY": Effect("best-effort", 'topologyManagerPolicy: "best-effort"'),
    "CPUMANAGER_POLICY": Effect(
        "static", 'cpuManagerPolicy: "static"', {"KUBELET_FLAGS": "--kube-reserved=cpu=1"}
    ),
    "CPUMANAGER_RECONCILE_PERIOD": Effect("5s", 'cpuManagerReconcilePeriod: "5s"'),
    "CPUMANAGER_POLICY_OPTIONS": Effect(
        "full-pcpus-only=true",
        '{"full-pcpus-only": "true"}',
        {"KUBELET_FLAGS": "--kube-reserved=cpu=1", "CPUMANAGER_POLICY": "static"},
    ),
    "RUNTIME_REQUEST_TIMEOUT": Effect("3m", 'runtimeRequestTimeout: "3m"'),
    "DOCKERIZE_KUBELET": Effect(
        "true", "kubelet flags --containerized=true", DOCKER, works=("1.10", "1.13")
    ),
    "KUBELET_IMAGE": Effect(
        "x/y:z",
        "kubelet container image x/y:z",
        {**DOCKER, "DOCKERIZE_KUBELET": "true"},
        works=("1.11", "1.13"),
    ),
    # the container runtime and its network
    "CONTAINER_RUNTIME": Effect(
        "docker", "kubelet flags --container-runtime=docker", HOST, works=("1.10", "1.23")
    ),
    "CONTAINER_RUNTIME_ENDPOINT": Effect("unix:///x/crio.sock", "unix:///x/crio.sock"),
    "IMAGE_SERVICE_ENDPOINT": Effect("unix:///x/images.sock", "unix:///x/images.sock"),
    "DOCKER_OPTS": Effect(
        "-H tcp://127.0.0.1:2375",
        "--docker-endpoint=tcp://127.0.0.1:2375",
        DOCKER,
        works=("1.10", "1.23"),
    ),
    "DOCKER_ROOT": Effect("/x/docker", "--docker-root=/x/docker", DOCKER, works=("1.10", "1.23")),
    "RKT_PATH": Effect("/x/rkt", "--rkt-path=/x/rkt", RKT),
    "RKT_STAGE1_IMAGE": Effect("x", "--rkt-stage1-image=x", RKT),
    "NET_PLUGIN": Effect("kubenet", "--allocate-node-cidrs=true", DOCKER),
    "CNI_CONF_DIR": Effect("{cni}", 'conf_dir = "{cni}"'),
    "CNI_CONFIG_DIR": Effect("{cni}", 'conf_dir = "{cni}"'),
    "CNI_BIN_DIR": Effect("{plugins}", 'bin_dir = "{plugins}"'),
    "CNI_PLUGINS_VERSION": Effect("v1.5.1", "CNI plugins ('v1.5.1', '')"),
    "CNI_TARGETARCH": Effect("vax", refused="do not run on this machine"),
    "CNI_PLUGINS_AMD64_SHA256SUM": Effect("a1", alone=True),
    "CNI_PLUGINS_ARM64_SHA256SUM": Effect("a1", alone=True),
    "CNI_PLUGINS_PPC64LE_SHA256SUM": Effect("a1", alone=True),
    "CNI_PLUGINS_S390X_SHA256SUM": Effect("a1", alone=True),
    # kube-proxy and DNS
    "KUBE_PROXY_MODE": Effect("ipvs", 'mode: "ipvs"'),
    "PROXY_HEALTHZ_PORT": Effect("7256", "healthzBindAddress: 127.0.0.1:7256"),
    "PROXY_METRICS_PORT": Effect("7249", "metricsBindAddress: 127.0.0.1:7249"),
    "KUBE_DNS_SERVER_IP": Effect("10.0.0.53", '- "10.0.0.53"'),
    "KUBE_ENABLE_CLUSTER_DNS": Effect("false", '- "8.8.8.8"'),
    "DNS_ADDON": Effect("kube-dns", "kube-dns/kube-dns.yaml"),
    "KUBE_DNS_MEMORY_LIMIT": Effect("99Mi", alone=True),
    "KUBE_ENABLE_NODELOCAL_DNS": Effect("true", "addon nodelocaldns"),
    "KUBE_LOCAL_DNS_IP": Effect(
        "169.254.20.11", '- "169.254.20.11"', {"KUBE_ENABLE_NODELOCAL_DNS": "true"}
    ),
    "KUBE_ENABLE_CLUSTER_DASHBOARD": Effect("true", "addon dashboard"),
    "KUBE_DEFAULT_STORAGE_CLASS": Effect("false", "no storage-class"),
    "ENABLE_CSI_SNAPSHOTTER": Effect("true", "addon csi-snapshotter"),
    "EXTERNAL_CLOUD_PROVIDER_BINARY": Effect("{file}", "cloud program {file}", CLOUD),
    "EXTERNAL_CLOUD_VOLUME_PLUGIN": Effect(
        "aws", "kube-controller-manager flags --external-cloud-volume-plugin=aws", CLOUD
    ),
    "CONFIGURE_CLOUD_ROUTES": Effect("false", "--configure-cloud-routes=false", CLOUD),
    "CLOUD_CTLRMGR_FLAGS": Effect("--mine=1", "cloud-controller-manager flags --mine=1", CLOUD),
    "KUBE_DNS_NAME": Effect("lab.local", 'clusterDomain: "lab.local"'),
    # certificates and credentials
    "CERT_DIR": Effect("/x/certs", "--cert-dir=/x/certs"),
    "REUSE_CERTS": Effect("false", alone=True),
    "ENABLE_SINGLE_CA_SIGNER": Effect("true", "'client-ca', 'authority', 'server-ca'"),
    "SERVICE_ACCOUNT_KEY": Effect("/x/sa.key", "--service-account-key-file=/x/sa.key"),
    "KUBECONFIG_TOKEN": Effect("s3cret", "admin logs in by {'token': 's3cret'}", everywhere=True),
    "AUTH_ARGS": Effect("--token=s3cret", "user logs in by {'token': 's3cret'}"),
    "USER": Effect("nobody", alone=True),
    # logs, and the tool itself
    "LOG_LEVEL": Effect("5", "kube-apiserver flags --v=5"),
    "LOG_SPEC": Effect("a=5", "kube-apiserver flags --vmodule=a=5"),
    "LOG_DIR": Effect("/x/logs", "logs /x/logs"),
    "TMP_DIR": Effect("/x/tmp", "--config=/x/tmp/stepkube-default/kubelet.yaml", everywhere=True),
    "KUBE_VERBOSE": Effect("2", everywhere=True, alone=True),
    "KUBECTL": Effect("/x/kubectl", "kubectl /x/kubectl"),
    "KUBETEST_IN_DOCKER": Effect("true", refused="fix: unset it"),
}
