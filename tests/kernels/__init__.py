"""Other kernels, in qemu without KVM, with version 2 of cgroups: `python -m tests.kernels`."""
