"""What touches this machine, one way for each: commands, processes, files, ports, downloads."""
