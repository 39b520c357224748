"""What the tree's own hack/local-up-cluster.sh would run."""
