//! An answer of a server that goes away in the middle of it. The connection to the server breaks;
//! that to the browser does not: it is told by a status, as of any other call that failed.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::refusal::Refusal;

/// `body`, whose failure is its trailers.
pub(crate) struct Cut<B> {
    body: B,
    is_over: bool,
}

impl<B> Cut<B> {
    pub(crate) fn new(body: B) -> Self {
        Self { body, is_over: false }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Cut<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Err(error))) => {
                self.is_over = true;
                Poll::Ready(Some(trailers().map(Frame::trailers).ok_or(error)))
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn trailers() -> Option<HeaderMap> {
    let mut trailers = HeaderMap::new();
    Refusal::went_away().to_status().add_header(&mut trailers).ok()?;
    Some(trailers)
}
