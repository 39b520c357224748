"""Facts of Kubernetes minors, source trees, and the records of tools and of the bundle."""
