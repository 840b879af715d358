"""Simulated wearables: physiology, sensor physics, labelled truth, a fleet that publishes."""
