"""What every folder uses: errors, output, masked passwords, up-to-date checks."""
