"""Writes to Milvus by columns, for any LangChain program; see ``docs/columnar-writes.md``."""
