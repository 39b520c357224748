"""Certificates, keys and kubeconfigs, and which user owns them."""
