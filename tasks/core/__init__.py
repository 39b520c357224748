"""What every folder uses: errors, output, masked passwords, the state of a doit run."""
