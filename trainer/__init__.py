"""The trainer: one training type at a time, from data to checkpoints. Runs without the platform.

python -m trainer sft --data_path my.jsonl
"""
