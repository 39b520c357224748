"""Every setting: declared once, read from file, environment and command line; paths."""
