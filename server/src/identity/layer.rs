//! The layer in front of all services: who calls, and whether the role allows it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, Service};
use tracing::{Instrument, Span};

use super::caller::{Caller, Note};
use super::keyring::{Held, Keyring, Refused};
use super::rules::{Need, Reach, Rule, rule_of};
use super::trail::Trail;
use crate::service::status;

/// Puts [`Identified`] around the services.
#[derive(Clone)]
pub(crate) struct Identify {
    keyring: Keyring,
    trail: Trail,
    /// Calls without a credential are taken.
    is_open: bool,
}

impl Identify {
    pub(crate) fn new(keyring: Keyring, trail: Trail, is_open: bool) -> Self {
        Self { keyring, trail, is_open }
    }

    /// Who calls, if that may be.
    fn caller<B>(&self, request: &mut Request<B>, rule: &'static Rule) -> Result<Caller, Status> {
        // Taken out, so that nothing behind this layer can write it anywhere.
        let header = request.headers_mut().remove(AUTHORIZATION);
        let held = match self.keyring.identify(header.as_ref()) {
            Ok(held) => Some(held),
            Err(Refused::Missing) if self.is_open && rule.need == Need::Key => None,
            Err(refused) => return Err(told(refused)),
        };
        let peer = request.extensions().get::<TcpConnectInfo>();
        let peer = peer.and_then(TcpConnectInfo::remote_addr).map(|address| address.ip());
        let is_looked_at = |held: &Arc<Held>| rule.is_audited() || !held.key.scopes.is_all();
        let note = held.as_ref().filter(|held| is_looked_at(held)).map(|_| Arc::default());
        Ok(Caller { held, peer, note })
    }
}

fn told(refused: Refused) -> Status {
    match refused {
        Refused::Missing => status::credential_missing(),
        Refused::Invalid => status::credential_invalid(),
        Refused::Ended(end) => status::credential_ended(Some(end)),
        Refused::Stale => status::keys_unknown(),
    }
}

/// Whether the role, and the reach of the key, allow the call.
fn allowed(caller: &Caller, rule: &'static Rule) -> Result<(), Status> {
    let Some(held) = &caller.held else { return Ok(()) };
    if !rule.allows(held.key.role) {
        return Err(status::role_not_allowed(held.key.role, &rule.name()));
    }
    if rule.reach == Reach::Installation && !held.key.scopes.is_all() {
        return Err(status::installation_not_allowed(&rule.name()));
    }
    Ok(())
}

impl<S> Layer<S> for Identify {
    type Service = Identified<S>;

    fn layer(&self, inner: S) -> Identified<S> {
        Identified { inner, identify: self.clone() }
    }
}

/// Services whose callers are known.
#[derive(Clone)]
pub(crate) struct Identified<S> {
    inner: S,
    identify: Identify,
}

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S, In> Service<Request<In>> for Identified<S>
where
    S: Service<Request<In>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        let Some(rule) = rule_of(request.uri().path()) else {
            // No call of the contract: nothing without a rule is reached.
            return refuse(Status::unimplemented("there is no such call"));
        };
        if rule.need == Need::Nothing {
            return Box::pin(self.inner.call(request));
        }
        let caller = match self.identify.caller(&mut request, rule) {
            Ok(caller) => caller,
            Err(status) => return refuse(status),
        };
        if let Err(status) = allowed(&caller, rule) {
            if rule.is_audited() {
                self.identify.trail.note(&caller, rule, status::reason_of(&status).as_str());
            }
            return refuse(status);
        }
        request.extensions_mut().insert(caller.clone());
        let answer = self.inner.call(request);
        let is_plain = caller.note.is_none() && !rule.is_stream();
        if caller.held.is_none() || is_plain {
            return Box::pin(answer);
        }
        let trail = rule.is_audited().then(|| self.identify.trail.clone());
        let is_audited = trail.is_some();
        let noted = async move { Ok(finish(answer.await?, caller, rule, trail)) };
        if is_audited { to_its_end(noted) } else { Box::pin(noted) }
    }
}

/// A call whose caller leaves goes on, so that the trail has what came of it.
fn to_its_end<E: Send + 'static>(
    call: impl Future<Output = Result<Response<Body>, E>> + Send + 'static,
) -> Answer<E> {
    Box::pin(async move {
        let ended = tokio::spawn(call.instrument(Span::current())).await;
        ended.unwrap_or_else(|_| Ok(Status::internal("the call has panicked").into_http()))
    })
}

fn refuse<E: Send + 'static>(status: Status) -> Answer<E> {
    Box::pin(std::future::ready(Ok(status.into_http())))
}

/// Notes what became of the call, and ties its answer to the life of the key.
fn finish(
    response: Response<Body>,
    caller: Caller,
    rule: &'static Rule,
    trail: Option<Trail>,
) -> Response<Body> {
    // An error before the first message comes as a whole.
    let refused = response.extensions().get::<Status>();
    if let Some(trail) = trail {
        let outcome = refused.map_or_else(|| "OK".to_owned(), status::reason_of);
        trail.note(&caller, rule, &outcome);
    }
    if refused.is_some() {
        return response;
    }
    if has_forgotten(&caller, rule) {
        tracing::error!(call = rule.name(), "a handler did not ask for the queues of its caller");
        return Status::internal("the call is not tied to the queues of the key").into_http();
    }
    let Some(held) = caller.held.filter(|_| rule.is_stream()) else { return response };
    response.map(|body| {
        let until = Box::pin(held.ended().clone().cancelled_owned());
        Body::new(Tied { body, until, held, is_over: false })
    })
}

/// Session and Ingest read their queues from the stream, after this.
fn has_forgotten(caller: &Caller, rule: &'static Rule) -> bool {
    let is_later = matches!(rule.method, "Session" | "Ingest");
    let has_asked = |note: &Arc<Note>| note.has_asked.load(Ordering::Relaxed);
    let is_scoped = caller.held.as_ref().is_some_and(|held| !held.key.scopes.is_all());
    rule.reach == Reach::Queues
        && is_scoped
        && !is_later
        && !caller.note.as_ref().is_some_and(has_asked)
}

/// A body that ends with its key.
struct Tied {
    body: Body,
    until: Pin<Box<WaitForCancellationFutureOwned>>,
    held: Arc<Held>,
    is_over: bool,
}

impl HttpBody for Tied {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        // Between two frames there is never half a message.
        if self.until.as_mut().poll(context).is_ready() {
            self.is_over = true;
            self.body = Body::empty();
            let mut trailers = http::HeaderMap::new();
            status::credential_ended(self.held.how_ended()).add_header(&mut trailers)?;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
