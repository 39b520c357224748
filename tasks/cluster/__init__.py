"""Tasks for a running cluster: up, down, start, restart, status, kubectl, instances, delete."""
