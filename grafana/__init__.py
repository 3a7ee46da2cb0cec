"""Dashboards for Grafana as code; ``python -m grafana`` writes the JSON beside them."""
