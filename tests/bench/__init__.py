"""What rebound costs, as ratios to what does the same with less: `python -m tests.bench`."""
