"""Conversions between Python times and the wire's Timestamp and Duration."""

import math
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def wire_duration(duration: float | timedelta) -> Duration:
    """A duration in seconds or as a timedelta."""
    total = duration.total_seconds() if isinstance(duration, timedelta) else duration
    whole = math.floor(total)
    return Duration(seconds=whole, nanos=round((total - whole) * 1e9))


def duration_s(duration: Duration) -> float:
    """A negative duration becomes zero."""
    return max(0.0, duration.seconds + duration.nanos / 1e9)


def wire_timestamp(time: datetime | float) -> Timestamp:
    """A time as a datetime or in seconds since the Unix epoch."""
    total = time.timestamp() if isinstance(time, datetime) else time
    whole = math.floor(total)
    return Timestamp(seconds=whole, nanos=min(round((total - whole) * 1e9), 999_999_999))
