"""Kubernetes source: checked out from a worktree, git, archive, Debian, Go module proxy, bundle."""
