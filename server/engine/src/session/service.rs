//! Runs the streams of workers.

use std::pin::pin;
use std::sync::Arc;

use futures_util::Stream;
use tokio_util::sync::CancellationToken;

use super::actor::Session;
use super::context::SessionContext;
use super::frame::{FromWorker, Hello, StreamEnd};
use super::outbound_queue::OutboundQueue;
use crate::EngineError;

/// The worker sessions of this server.
pub struct Sessions(pub(crate) Arc<SessionContext>);

impl Sessions {
    /// Runs one stream of a session until it closes.
    ///
    /// An error means that the session was not opened, and is the status of the stream. After
    /// Welcome every end is a [`StreamEnd`].
    pub async fn run(
        &self,
        hello: Hello,
        incoming: impl Stream<Item = FromWorker>,
        outbound: OutboundQueue,
        closing: CancellationToken,
    ) -> Result<StreamEnd, EngineError> {
        let mut session = Session::open(self.0.clone(), hello, outbound).await?;
        let end = session.run(pin!(incoming), closing).await;
        session.close(end).await;
        Ok(end)
    }

    /// Returns the number of connected sessions, and the jobs that they have credits for.
    pub fn load(&self) -> (usize, u64) {
        (self.0.registry.count(), self.0.scheduler.free_slots())
    }
}
