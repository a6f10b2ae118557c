"""The socket for `--status` and `--restart-now`: server and client."""
