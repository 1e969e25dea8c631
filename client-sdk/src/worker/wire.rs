//! One stream to one server: opened, greeted and split into its two halves.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::Error;
use crate::access::AuthenticatedChannel;
use crate::endpoint::MAX_MESSAGE_BYTES;
use crate::proto::workers::v1::worker_service_client::WorkerServiceClient;
use crate::proto::workers::v1::{
    Bye, Hello, SessionRequest, SessionResponse, Welcome, session_request, session_response,
};

/// Frames between the session and the connection. Small: what waits longer waits in the state,
/// where it can still be merged.
const FRAMES: usize = 16;

pub(crate) struct Wire {
    pub(crate) to_server: mpsc::Sender<SessionRequest>,
    pub(crate) from_server: Streaming<SessionResponse>,
}

impl Wire {
    /// Opens the stream and says Hello; answers with the server's Welcome.
    pub(crate) async fn open(
        channel: AuthenticatedChannel,
        hello: Hello,
        hello_timeout: Duration,
    ) -> Result<(Self, Welcome), Error> {
        let (to_server, frames) = mpsc::channel(FRAMES);
        let hello = SessionRequest { frame: Some(session_request::Frame::Hello(hello)) };
        to_server.try_send(hello).map_err(|_| Error::Protocol { message: "no room for Hello" })?;
        let greeted = timeout(hello_timeout, async move {
            let mut client = WorkerServiceClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES);
            let mut from_server = client.session(ReceiverStream::new(frames)).await?.into_inner();
            let first = from_server.message().await?.and_then(|response| response.frame);
            match first {
                Some(session_response::Frame::Welcome(welcome)) => Ok((from_server, welcome)),
                Some(_) => Err(Error::Protocol { message: "the first frame is not Welcome" }),
                None => Err(Error::Protocol { message: "the stream ended before Welcome" }),
            }
        });
        let (from_server, welcome) = greeted.await.map_err(|_| Error::Transport {
            message: format!("no Welcome within {hello_timeout:?}"),
        })??;
        Ok((Self { to_server, from_server }, welcome))
    }

    /// Says Bye, then reads to the end, so that the connection is not cut under the last frames.
    pub(crate) async fn bye(self, reason: &'static str, patience: Duration) {
        let Self { to_server, mut from_server } = self;
        let bye = session_request::Frame::Bye(Bye { reason: reason.to_owned() });
        let leave = async move {
            let _ = to_server.send(SessionRequest { frame: Some(bye) }).await;
            drop(to_server);
            while let Ok(Some(_)) = from_server.message().await {}
        };
        let _ = timeout(patience, leave).await;
    }
}
