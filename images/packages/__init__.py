"""Makes the packages of the one file: Debian's, wheels, tarballs; all that goes into them."""
