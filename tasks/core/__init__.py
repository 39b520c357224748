"""Used by every folder: errors, output, masked passwords, the state of a doit run."""
