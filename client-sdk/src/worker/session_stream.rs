//! One session stream to one server: Hello, Welcome, the two directions, Bye.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::Error;
use crate::connect_options::AuthenticatedChannel;
use crate::endpoint::MAX_MESSAGE_BYTES;
use crate::proto::workers::v1::worker_service_client::WorkerServiceClient;
use crate::proto::workers::v1::{
    Bye, Hello, SessionRequest, SessionResponse, Welcome, session_request, session_response,
};

/// Frames buffered between the session and the connection. Small, because unsent data in the
/// session state can still be merged.
const SEND_BUFFER_FRAMES: usize = 16;

pub(crate) struct SessionStream {
    pub(crate) to_server: mpsc::Sender<SessionRequest>,
    pub(crate) from_server: Streaming<SessionResponse>,
}

impl SessionStream {
    /// Opens the stream and sends Hello; returns it with the server's Welcome.
    pub(crate) async fn open(
        channel: AuthenticatedChannel,
        hello: Hello,
        hello_timeout: Duration,
    ) -> Result<(Self, Welcome), Error> {
        let (to_server, requests) = mpsc::channel(SEND_BUFFER_FRAMES);
        let hello = SessionRequest { frame: Some(session_request::Frame::Hello(hello)) };
        to_server
            .try_send(hello)
            .map_err(|_| Error::Protocol { message: "the send buffer cannot hold Hello" })?;
        let handshake = timeout(hello_timeout, async move {
            let mut client = WorkerServiceClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES);
            let mut from_server = client.session(ReceiverStream::new(requests)).await?.into_inner();
            let first = from_server.message().await?.and_then(|response| response.frame);
            match first {
                Some(session_response::Frame::Welcome(welcome)) => Ok((from_server, welcome)),
                Some(_) => Err(Error::Protocol { message: "the first frame is not Welcome" }),
                None => Err(Error::Protocol { message: "the stream closed before Welcome" }),
            }
        });
        let (from_server, welcome) = handshake.await.map_err(|_| Error::Transport {
            message: format!("no Welcome within {hello_timeout:?}"),
        })??;
        Ok((Self { to_server, from_server }, welcome))
    }

    /// Sends Bye and reads until the server closes the stream, so that the connection is not closed
    /// before the last frames are delivered.
    pub(crate) async fn bye(self, reason: &'static str, limit: Duration) {
        let Self { to_server, mut from_server } = self;
        let bye = session_request::Frame::Bye(Bye { reason: reason.to_owned() });
        let close = async move {
            let _ = to_server.send(SessionRequest { frame: Some(bye) }).await;
            drop(to_server);
            while let Ok(Some(_)) = from_server.message().await {}
        };
        let _ = timeout(limit, close).await;
    }
}
