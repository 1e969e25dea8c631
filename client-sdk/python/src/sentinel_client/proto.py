"""The wire contract of JobService: messages and enums."""

from ._proto.sentinel.jobs.v1.job_pb2 import *  # noqa: F403
from ._proto.sentinel.jobs.v1.job_service_pb2 import *  # noqa: F403
