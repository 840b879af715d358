"""Pure kernels over arrays: axis 0 is the device, the last axis is time."""
