"""Explain where every flag, setting and version comes from."""
