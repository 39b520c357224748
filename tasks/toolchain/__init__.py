"""Go, etcd, Delve and CNI plugins: chosen for the checkout, verified, kept in the workspace."""
