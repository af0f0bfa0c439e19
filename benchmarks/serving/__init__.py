"""Slates over HTTP: ours beside what people use today, by one load, in one run."""
