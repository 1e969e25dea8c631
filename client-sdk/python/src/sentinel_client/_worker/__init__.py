"""The session of a worker: its rules, its stream, its handlers."""
