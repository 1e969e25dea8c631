"""The wire contract: messages and enums of jobs and their service."""

from ._proto.sentinel.jobs.v1.job_pb2 import *  # noqa: F403
from ._proto.sentinel.jobs.v1.job_service_pb2 import *  # noqa: F403
