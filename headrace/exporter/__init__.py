"""The exporter: what ledgers, schedules, Redis and Milvus hold, as metrics."""
