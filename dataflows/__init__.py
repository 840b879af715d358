"""The flow: registry, banks, patients, alarms, store, couriers."""
