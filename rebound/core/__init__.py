"""What rebound decides: pure, and importing nothing but itself."""
