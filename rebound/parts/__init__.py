"""What an option needs: each loaded where it is asked for."""
