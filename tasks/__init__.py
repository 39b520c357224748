"""The pipeline: downloads, toolchain, checkout, build, certs, start, debug.

A module here describes tasks; what they share lies in the packages (docs/pipeline.md).
"""
