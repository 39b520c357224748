"""The Kubernetes source: from worktree, git, archive, Debian package, module proxy or bundle."""
