"""What comes in: the wire contract, MQTT, the journal and the registry."""
