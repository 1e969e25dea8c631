"""The session of a worker: its rules, its stream and the handlers' view of it."""
