"""headrace beside its peers: the same chunks, the same endpoint, the same Milvus."""
