//! The way to the server. A server takes 200 streams of one connection, and every open watch of
//! every browser is one, so there are as many connections as the streams need.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{Request, Response};
use sentinel_client::Access;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service, ServiceExt as _};

use crate::cut::Cut;
use crate::held::Held;
use crate::refusal::Refusal;

/// Below what a server allows on a connection, since an ended stream is counted a moment longer
/// there than here.
const STREAMS_MAX: usize = 160;

/// Streams beyond all of these wait for others to end.
const LANES_MAX: usize = 64;

/// Connections to one server, made when they are needed and made again when they are lost.
#[derive(Clone)]
pub(crate) struct Upstream {
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    access: Access,
    lanes: Mutex<Vec<Lane>>,
}

#[derive(Clone)]
struct Lane {
    channel: Channel,
    streams: Arc<AtomicUsize>,
}

/// One stream of a lane; given back when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// For generated clients. A server that can not be reached answers as one that is unavailable.
impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let upstream = self.clone();
        Box::pin(async move {
            let answer = upstream.send(request).await;
            Ok(answer.unwrap_or_else(|refusal| refusal.into_grpc()))
        })
    }
}

impl Upstream {
    /// Connects to nobody yet.
    pub(crate) fn new(server: &str, access: &Access) -> Result<Self, sentinel_client::Error> {
        let lane = Lane { channel: access.channel(server)?, streams: Arc::default() };
        let shared = Shared {
            server: server.to_owned(),
            access: access.clone(),
            lanes: Mutex::new(vec![lane]),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// One call. The body of the answer holds its place on the connection.
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        let (mut channel, place) = self.lane();
        let unreachable = |error: tonic::transport::Error| Refusal::unreachable(&error);
        let ready = channel.ready().await.map_err(unreachable)?;
        let answer = ready.call(request).await.map_err(unreachable)?;
        Ok(answer.map(|body| Body::new(Held::new(Cut::new(body), place))))
    }

    /// The first lane with room, so that connections beyond what is needed fall idle.
    fn lane(&self) -> (Channel, Place) {
        let mut lanes = self.shared.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = |lane: &Lane| lane.streams.load(Ordering::Relaxed);
        let free = lanes.iter().find(|lane| streams(lane) < STREAMS_MAX).cloned();
        let lane = match free {
            Some(lane) => lane,
            None if lanes.len() < LANES_MAX => {
                match self.shared.access.channel(&self.shared.server) {
                    Ok(channel) => {
                        let lane = Lane { channel, streams: Arc::default() };
                        lanes.push(lane.clone());
                        lane
                    }
                    // It was valid at the start; the first lane says what is wrong now.
                    Err(_) => lanes[0].clone(),
                }
            }
            None => {
                let least = lanes.iter().min_by_key(|lane| streams(lane));
                least.expect("there is always a lane").clone()
            }
        };
        lane.streams.fetch_add(1, Ordering::Relaxed);
        (lane.channel, Place(lane.streams))
    }
}
