"""Client of a Go module proxy and of the Go checksum database."""
