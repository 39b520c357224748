"""Access to this machine: commands, processes, files, ports, mounts, downloads, apt, firewall."""
