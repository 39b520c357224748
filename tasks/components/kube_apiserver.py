"""kube-apiserver, with the flags of start_apiserver in hack/local-up-cluster.sh."""

from __future__ import annotations

from tasks.components import (
    admission,
    command_line,
    connections,
    etcd,
    insecure_port,
    shared_flags,
)
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.settings import addresses, cert_files, ip_families
from tasks.settings.paths import user_files
from tasks.system.ports import Health

NAME = "kube-apiserver"
AFTER = (etcd.NAME,)


def desired_flags(context: Context) -> command_line.Flags:
    """Return the flags, in upstream's order."""
    settings = context.settings
    api, certs = settings.api, settings.paths.certs
    crt, key = cert_files.pair(settings, "serving-kube-apiserver")
    kubelet_crt, kubelet_key = cert_files.pair(settings, "client-kube-apiserver")
    proxy_crt, proxy_key = cert_files.pair(settings, "client-auth-proxy")
    client_ca, header_ca = cert_files.client_authorities(settings)
    return {
        **_audit(context),
        **({"enable-swagger-ui": True} if api.swagger_ui else {}),
        **_authorization(context),
        **command_line.file_flags(
            **{
                "authentication-token-webhook-config-file": api.authentication_webhook_config_file,
                "egress-selector-config-file": api.egress_selector_config_file,
            }
        ),
        # this file maps the token to the administrator; kubeconfig_token is the token itself
        **(
            {"token-auth-file": cert_files.token_file(settings)}
            if settings.certs.kubeconfig_token
            else {}
        ),
        "allow-privileged": api.allow_privileged,
        **_runtime_config(context),
        **shared_flags.cloud_flags(settings),
        **_advertise(context),
        **({"service-node-port-range": api.node_port_range} if api.node_port_range else {}),
        **shared_flags.logging_flags(settings),
        "cert-dir": certs,
        "client-ca-file": client_ca,
        "service-account-key-file": cert_files.service_account_key(settings),
        "service-account-lookup": api.service_account_lookup,
        **_issuer(context),
        **admission.flags(context),
        "bind-address": api.bind_address,
        "secure-port": api.secure_port,
        "tls-cert-file": crt,
        "tls-private-key-file": key,
        **insecure_port.flags(context),
        "storage-backend": api.storage_backend,
        "storage-media-type": api.storage_media_type,
        **etcd.client_flags(settings),
        "service-cluster-ip-range": api.service_cluster_ip_range,
        **shared_flags.feature_gates_flag(context),
        **shared_flags.emulated_version_flags(settings),
        "external-hostname": api.external_hostname,
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-client-ca-file": header_ca,
        "requestheader-allowed-names": "system:auth-proxy",
        "proxy-client-cert-file": proxy_crt,
        "proxy-client-key-file": proxy_key,
        "cors-allowed-origins": api.cors_allowed_origins,
        "kubelet-client-certificate": kubelet_crt,
        "kubelet-client-key": kubelet_key,
        # the port forward to a node in the sandbox listens at the node's name, 127.0.0.1
        "kubelet-preferred-address-types": "Hostname,InternalIP",
        **_pause_tolerant(context),
    }


def build(context: Context) -> Component:
    """Return the component."""
    settings = context.settings
    endpoint = context.facts.health[NAME]
    host, port = addresses.loopback_for(settings.api.bind_address), settings.api.secure_port
    # AlwaysAllow disables anonymous callers, so the health check gets 401
    accept = (200, 401) if "AlwaysAllow" in settings.api.authorization_mode else (200,)
    url = addresses.url(endpoint.scheme, host, port, endpoint.path)
    return Component(
        name=NAME,
        argv=command_line.argv(NAME, context, desired_flags(context)),
        health=Health(url, accept, settings.api.probe_timeout),
        after=AFTER,
        env=shared_flags.debug_env(settings),
        inputs=(
            *cert_files.pair(settings, "serving-kube-apiserver"),
            *cert_files.pair(settings, "client-kube-apiserver"),
            *cert_files.pair(settings, "client-auth-proxy"),
            *cert_files.client_authorities(settings),
            *cert_files.etcd_client(settings),
            cert_files.service_account_key(settings),
            *([cert_files.token_file(settings)] if settings.certs.kubeconfig_token else []),
            *user_files(
                settings.api.admission_control_config_file,
                settings.start.cloud_config,
                settings.api.authorization_config,
                settings.api.authorization_webhook_config_file,
                settings.api.authentication_webhook_config_file,
                settings.api.audit_policy_file,
                settings.api.egress_selector_config_file,
            ),
        ),
        ports=(port, *insecure_port.ports(context)),
        ready_timeout=float(settings.api.wait),
        networks=connections.networks(context),
        notes=(*insecure_port.warnings(context), *connections.notes(context)),
    )


def pause_limit(context: Context) -> str:
    """Return how long a request may be paused at a breakpoint, as text; empty for no limit."""
    debug = context.settings.debug
    if not debug.pause_tolerant:
        return "debug.pause_tolerant is off: a request that is paused longer than its timeout fails"
    if debug.lift_write_deadline and not context.settings.build.output:
        return ""
    return "a write that is paused longer than 34 s fails and is not stored"


def _runtime_config(context: Context) -> dict[str, command_line.Value]:
    """Return the flag for API groups: those of the user, and those that plugins need."""
    api = context.settings.api
    groups: list[str] = [api.runtime_config] if api.runtime_config else []
    if api.pod_priority_preemption and context.facts.pod_priority_alpha:
        groups.append("scheduling.k8s.io/v1alpha1=true")
    groups += admission.groups(context)
    return {"runtime-config": ",".join(groups)} if groups else {}


def _authorization(context: Context) -> dict[str, command_line.Value]:
    """Return the authorization flags: a configuration file, or the modes."""
    api = context.settings.api
    if api.authorization_config:
        return command_line.file_flags(**{"authorization-config": api.authorization_config})
    return {
        **({"authorization-mode": api.authorization_mode} if api.authorization_mode else {}),
        **command_line.file_flags(
            **{"authorization-webhook-config-file": api.authorization_webhook_config_file}
        ),
    }


def _audit(context: Context) -> dict[str, command_line.Value]:
    api = context.settings.api
    if not (api.basic_audit or api.audit_policy_file):
        return {}
    return {
        **command_line.file_flags(**{"audit-policy-file": api.audit_policy_file}),
        "audit-log-path": context.settings.paths.log("kube-apiserver-audit"),
        "audit-log-maxage": 0,
        "audit-log-maxbackup": 0,
        "audit-log-maxsize": 2000000000,  # rotation cannot be disabled; no log gets this large
    }


def _advertise(context: Context) -> dict[str, command_line.Value]:
    """Return the flag for the API's address that pods connect to; they cannot use loopback.

    Without the flag, kube-apiserver looks for a default route, and exits if there is none.
    """
    settings = context.settings
    if settings.api.advertise_address:
        return {"advertise-address": settings.api.advertise_address}
    if settings.node.sandbox:
        return {"advertise-address": ip_families.node_addresses(settings)[0]}
    host_ip = settings.api.host_ip
    return {} if host_ip == "127.0.0.1" else {"advertise-address": host_ip}


def _issuer(context: Context) -> dict[str, command_line.Value]:
    if not context.facts.issued_tokens:
        return {}
    return {
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-signing-key-file": cert_files.service_account_key(context.settings),
    }


def _pause_tolerant(context: Context) -> dict[str, command_line.Value]:
    """Return the flags that let a request wait at a breakpoint for a day.

    With this timeout, open watches would delay the exit, so they get a short grace period.
    """
    if not context.settings.debug.pause_tolerant:
        return {}
    return {
        "request-timeout": "24h",
        "shutdown-watch-termination-grace-period": "1s",
        **(_NO_FLOW_CONTROL if context.facts.sampled_concurrency else {}),
    }


_NO_FLOW_CONTROL: dict[str, command_line.Value] = {
    "enable-priority-and-fairness": False,
    "max-requests-inflight": 0,
    "max-mutating-requests-inflight": 0,
}
"""Disables the filters that count requests; see `sampled_concurrency` in the facts."""


SPEC = Spec(
    name=NAME,
    program=Program("module", NAME),
    build=build,
    flags=desired_flags,
    after=AFTER,
    host_queries=("connections",),
    port_group="api",
    debug_offset=9,
    pause_limit=pause_limit,
    certs=(
        "server-ca",
        "client-ca",
        "request-header-ca",
        "serving-kube-apiserver",
        "client-kube-apiserver",
        "client-auth-proxy",
        "etcd-ca",
        "client-etcd",
        "service-account",
        "tokens",
    ),
)
