"""The HTTP API: a ward's alarms, devices and vitals, and what may be said of alarms, by programs and signed links."""
