"""What is known of a Kubernetes version, a source tree, and the records of both."""
