"""How well the flow's own kernels do on recorded and simulated signals: `femtoward evaluate`."""
