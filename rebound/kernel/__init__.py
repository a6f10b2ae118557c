"""What rebound asks of the kernel: thin, and deciding nothing."""
