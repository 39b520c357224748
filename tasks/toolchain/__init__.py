"""Go, etcd, Delve and the CNI plugins: chosen for the checkout, verified, private."""
