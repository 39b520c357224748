"""What surrounds kubelet and kube-proxy: namespaces, relays, kernel, images."""
