"""Rebound's decisions: pure modules that import only each other."""
