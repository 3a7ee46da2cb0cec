"""Comparing sources, ledger and Milvus with each other, and mending what differs."""
