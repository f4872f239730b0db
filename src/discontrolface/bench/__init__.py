"""Time and memory of every stage on this machine."""
