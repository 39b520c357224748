"""The pipeline: mirror, toolchain, checkout, build, certs, start, debug."""
