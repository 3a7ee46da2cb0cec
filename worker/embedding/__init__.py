"""Texts to vectors: the local model and the adapters to embedding endpoints."""
