"""The jobs of the example: imported by the web application, which enqueues them, and by the worker."""

from pydantic import BaseModel, Field

from sentinel_client import define_job


class Thumbnail(BaseModel):
    """The payload, which is also the body of the HTTP request."""

    image: str = Field(min_length=1)
    width: int = Field(ge=1, le=4096)


class Stored(BaseModel):
    """The result."""

    path: str
    width: int


MAKE_THUMBNAIL = define_job(
    "image.thumbnail",
    payload=Thumbnail,
    result=Stored,
    description="Makes a thumbnail of an image.",
    configure=lambda payload: {"labels": {"image": payload.image[:64]}},
)
