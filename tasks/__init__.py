"""The pipeline: one folder per stage, its `tasks.py` describes the tasks, the rest does the work.

docs/architecture.md says what each folder is for and which one may import which.
"""
