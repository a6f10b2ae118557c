"""A whole Debian 13 in qemu, with systemd and podman: `python -m tests.machine`."""
