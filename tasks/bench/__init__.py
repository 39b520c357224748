"""Benchmarks: the time of the pipeline next to bare `go build`, slow packages, stalls of a swap."""
