"""The socket for `--status` and `--restart-now`: its server, and the client."""
