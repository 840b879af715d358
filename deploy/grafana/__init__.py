"""Grafana: dashboards, alert rules and data source as Python, and the files that are made of them."""
