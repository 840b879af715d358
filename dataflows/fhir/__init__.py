"""Vitals, alarms and devices as FHIR R4 resources: pure builders from rows, and one table of codes."""
