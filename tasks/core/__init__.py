"""What every layer uses: errors, output, redaction, up-to-date checks."""
