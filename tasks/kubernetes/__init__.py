"""What a Kubernetes version and a source tree are."""
