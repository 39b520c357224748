"""Client of a Go module proxy and of the checksum database."""
