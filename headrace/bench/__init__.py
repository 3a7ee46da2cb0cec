"""Tools for measuring headrace: an embedding endpoint that costs next to nothing."""
