"""Couriers: carry rows from the store to InfluxDB and to webhook receivers, each at its own pace."""
