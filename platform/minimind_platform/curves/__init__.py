"""Curves of runs for screens: whole series in few buckets that keep every spike, exact where one looks closer.

| file | holds |
|---|---|
| `buckets.py` | one curve in buckets of smallest, largest, mean and count |
| `tracking_file.py` | history from the tracking server's own database, read directly |
| `served.py` | history from a tracking server elsewhere |
| `history.py` | what both of them answer |
| `spooled.py` | the newest points, from the trainer's own record |
| `marks.py` | checkpoints, resumes, events and moves |
| `run_curves.py` | the curves of one run, from history and record without gap or double |
| `service.py` | all of it, shared by all screens |
"""
