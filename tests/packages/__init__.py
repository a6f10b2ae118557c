"""The packages of the one file, as `nox -s packages` has made them."""
