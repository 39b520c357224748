"""The programs of the toolchain: which ones fit, and how each is got and verified."""
