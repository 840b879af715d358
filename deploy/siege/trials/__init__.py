"""Trials: one figure of what femtoward promises each, measured on a real stand, with a verdict."""
