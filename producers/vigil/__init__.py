"""Keeping a collection equal to a folder while it changes; ``vigil`` is where it begins."""
