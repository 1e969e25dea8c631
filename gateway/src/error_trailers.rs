//! A response body that reports a broken server connection as gRPC trailers. The connection to
//! the client stays usable, and the client gets a status as it does from any failed call.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::error::GatewayError;

/// A body whose read error becomes its trailers.
pub(crate) struct ErrorTrailers<B> {
    body: B,
    failed: bool,
}

impl<B> ErrorTrailers<B> {
    pub(crate) fn new(body: B) -> Self {
        Self { body, failed: false }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ErrorTrailers<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.failed {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Err(error))) => {
                self.failed = true;
                Poll::Ready(Some(trailers().map(Frame::trailers).ok_or(error)))
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failed || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn trailers() -> Option<HeaderMap> {
    let mut trailers = HeaderMap::new();
    GatewayError::response_interrupted().to_status().add_header(&mut trailers).ok()?;
    Some(trailers)
}
