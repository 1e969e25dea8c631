//! The bounds of request bodies: their bytes in memory, of one client and of all together, and
//! the time that a body may take.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future as _;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::LengthLimitError;
use tokio::time::Sleep;

use crate::error::GatewayError;

/// What reading the body of one request needs. It is an extension of the request.
#[derive(Clone, Default)]
pub(crate) struct BodyContext {
    memory: Option<(Arc<BodyMemory>, IpAddr)>,
    pub(crate) failure: BodyFailure,
}

/// Why reading a body failed. A transport reports only that it failed.
#[derive(Clone, Default)]
pub(crate) struct BodyFailure(Arc<OnceLock<GatewayError>>);

/// The bytes of request bodies in memory.
pub(crate) struct BodyMemory {
    max_bytes: usize,
    client_max_bytes: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    total: usize,
    clients: HashMap<IpAddr, usize>,
}

/// The bytes that one request holds until it is dropped.
pub(crate) struct HeldBytes {
    memory: Option<(Arc<BodyMemory>, IpAddr)>,
    bytes: usize,
}

impl BodyContext {
    pub(crate) fn new(memory: Arc<BodyMemory>, client: IpAddr) -> Self {
        Self { memory: Some((memory, client)), failure: BodyFailure::default() }
    }

    /// Returns the account of a body of which nothing is read yet.
    pub(crate) fn hold(&self) -> HeldBytes {
        HeldBytes { memory: self.memory.clone(), bytes: 0 }
    }
}

impl BodyFailure {
    pub(crate) fn get(&self) -> Option<GatewayError> {
        self.0.get().cloned()
    }

    /// Keeps the first failure.
    pub(crate) fn set(&self, error: GatewayError) {
        let _ = self.0.set(error);
    }
}

impl BodyMemory {
    /// One client may hold a quarter of `max_bytes`, but always one body of the largest size.
    pub(crate) fn new(max_bytes: usize, body_max_bytes: usize) -> Self {
        let client_max_bytes = (max_bytes / 4).max(body_max_bytes);
        Self { max_bytes: max_bytes.max(body_max_bytes), client_max_bytes, held: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldBytes {
    /// Adds bytes that were read. Refuses them rather than waiting: bodies that wait for each
    /// other would hold the memory until they time out.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), GatewayError> {
        let Some((memory, client)) = &self.memory else { return Ok(()) };
        let mut held = memory.lock();
        let of_client = held.clients.get(client).copied().unwrap_or_default() + bytes;
        if of_client > memory.client_max_bytes {
            return Err(GatewayError::too_many_body_bytes(memory.client_max_bytes, true));
        }
        if held.total + bytes > memory.max_bytes {
            return Err(GatewayError::too_many_body_bytes(memory.max_bytes, false));
        }
        held.clients.insert(*client, of_client);
        held.total += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        let Some((memory, client)) = &self.memory else { return };
        let mut held = memory.lock();
        held.total -= self.bytes;
        if let Some(bytes) = held.clients.get_mut(client) {
            *bytes -= self.bytes;
            if *bytes == 0 {
                held.clients.remove(client);
            }
        }
    }
}

/// A request body that must end in time. Its failures are kept for the response.
pub(crate) struct TimedBody<B> {
    body: B,
    time: Duration,
    timeout: Pin<Box<Sleep>>,
    failure: BodyFailure,
}

impl<B> TimedBody<B> {
    pub(crate) fn new(body: B, time: Duration, failure: BodyFailure) -> Self {
        Self { body, time, timeout: Box::pin(tokio::time::sleep(time)), failure }
    }
}

impl<B> Body for TimedBody<B>
where
    B: Body<Data = Bytes, Error = Box<dyn Error + Send + Sync>> + Unpin,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Err(error))) => {
                self.failure.set(if error.is::<LengthLimitError>() {
                    GatewayError::body_too_large(
                        "the request body is larger than the limit of the gateway",
                    )
                } else {
                    let text = format!("reading the request body failed: {error}");
                    GatewayError::invalid_request(text)
                });
            }
            Poll::Pending if self.timeout.as_mut().poll(context).is_ready() => {
                let error = GatewayError::body_too_slow(self.time);
                self.failure.set(error);
                return Poll::Ready(Some(Err("the request body took too long".into())));
            }
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded_per_client_and_in_total_and_are_freed() {
        let memory = Arc::new(BodyMemory::new(400, 50));
        let hold =
            |client: u8| BodyContext::new(memory.clone(), IpAddr::from([192, 0, 2, client])).hold();
        let mut first: Vec<HeldBytes> = (1..=4).map(hold).collect();
        for held in &mut first {
            assert!(held.grow(60).is_ok() && held.grow(40).is_ok());
            assert_eq!(held.grow(1).unwrap_err().reason(), "BODIES_OF_CLIENT_TOO_LARGE");
        }
        let mut other = hold(5);
        assert_eq!(other.grow(1).unwrap_err().reason(), "BODIES_TOO_LARGE");
        first.pop();
        assert!(other.grow(100).is_ok());
        drop((first, other));
        let held = memory.lock();
        assert_eq!((held.total, held.clients.len()), (0, 0));
    }

    #[test]
    fn one_body_of_the_largest_size_always_fits() {
        let memory = Arc::new(BodyMemory::new(10, 50));
        let mut held = BodyContext::new(memory, IpAddr::from([192, 0, 2, 1])).hold();
        assert!(held.grow(50).is_ok());
        assert!(held.grow(1).is_err());
    }
}
