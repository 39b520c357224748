"""Source of Kubernetes: worktree, git, archive, Debian package, module proxy, bundle."""
