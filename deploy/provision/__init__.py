"""`femtoward provision`: what InfluxDB and Grafana must have before a ward can be seen, made once and kept so."""
