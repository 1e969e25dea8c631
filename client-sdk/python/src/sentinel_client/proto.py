"""The wire contract of JobService and QueueService: messages and enums."""

from ._proto.sentinel.admin.v1.queue_service_pb2 import *  # noqa: F403
from ._proto.sentinel.jobs.v1.job_pb2 import *  # noqa: F403
from ._proto.sentinel.jobs.v1.job_service_pb2 import *  # noqa: F403
