"""What a run needs of the machine: devices, other processes, signals, the lock of its folder, and the log."""
