"""Who may talk to the cluster, and with what: certificates, tokens, kubeconfigs."""
