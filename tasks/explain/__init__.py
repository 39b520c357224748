"""Where every flag, setting and version comes from."""
