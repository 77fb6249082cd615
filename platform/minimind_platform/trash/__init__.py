"""What was deleted: what it takes, what still needs it, and removing it for good. `service.py` is the way in."""
