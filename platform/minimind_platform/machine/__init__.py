"""This machine as people watch it: devices, disk, slots, processes. `service.py` is the way in."""
