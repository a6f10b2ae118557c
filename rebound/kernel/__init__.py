"""Rebound's calls to the kernel: thin modules that decide nothing."""
