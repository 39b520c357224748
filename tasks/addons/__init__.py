"""Addons of the cluster: manifests from the tree, their template values, images."""
