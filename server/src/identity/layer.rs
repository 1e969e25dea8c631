//! The layer in front of all services: authenticates the caller and checks its role.

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

use super::api_keys::{ApiKeys, AuthError, CachedKey};
use super::audit_log::AuditLog;
use super::caller::{CallNotes, Caller};
use super::rules::{KeyRequirement, QueueAccess, Rule, rule_of};
use crate::service::status;

/// Wraps a service in [`Authenticated`].
#[derive(Clone)]
pub(crate) struct AuthLayer {
    api_keys: ApiKeys,
    audit_log: AuditLog,
    /// Whether calls without a key are allowed.
    is_open: bool,
}

impl AuthLayer {
    pub(crate) fn new(api_keys: ApiKeys, audit_log: AuditLog, is_open: bool) -> Self {
        Self { api_keys, audit_log, is_open }
    }

    /// Authenticates the caller of a request.
    fn authenticate<B>(
        &self,
        request: &mut Request<B>,
        rule: &'static Rule,
    ) -> Result<Caller, Status> {
        // Removed, so that no later code can log it.
        let header = request.headers_mut().remove(AUTHORIZATION);
        let key = match self.api_keys.authenticate(header.as_ref()) {
            Ok(cached) => Some(cached),
            Err(AuthError::Missing)
                if self.is_open && rule.key_requirement == KeyRequirement::IfEnabled =>
            {
                None
            }
            Err(error) => return Err(to_status(error)),
        };
        let peer = request.extensions().get::<TcpConnectInfo>();
        let peer = peer.and_then(TcpConnectInfo::remote_addr).map(|address| address.ip());
        let needs_notes =
            |cached: &Arc<CachedKey>| rule.is_audited() || !cached.key.scopes.is_all();
        let notes = key.as_ref().filter(|cached| needs_notes(cached)).map(|_| Arc::default());
        Ok(Caller { key, peer, notes })
    }
}

fn to_status(error: AuthError) -> Status {
    match error {
        AuthError::Missing => status::credential_missing(),
        AuthError::Invalid => status::credential_invalid(),
        AuthError::Ended(reason) => status::credential_ended(Some(reason)),
        AuthError::Stale => status::keys_stale(),
    }
}

/// Checks that the role and the scopes of the key allow the call.
fn authorize(caller: &Caller, rule: &'static Rule) -> Result<(), Status> {
    let Some(cached) = &caller.key else { return Ok(()) };
    if !rule.allows(cached.key.role) {
        return Err(status::role_not_allowed(cached.key.role, &rule.name()));
    }
    if rule.queues == QueueAccess::All && !cached.key.scopes.is_all() {
        return Err(status::all_queues_required(&rule.name()));
    }
    Ok(())
}

impl<S> Layer<S> for AuthLayer {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Authenticated<S> {
        Authenticated { inner, auth: self.clone() }
    }
}

/// A service that only receives authenticated and authorized calls.
#[derive(Clone)]
pub(crate) struct Authenticated<S> {
    inner: S,
    auth: AuthLayer,
}

type ResponseFuture<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S, In> Service<Request<In>> for Authenticated<S>
where
    S: Service<Request<In>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        let Some(rule) = rule_of(request.uri().path()) else {
            // A path without a rule is never forwarded to a service.
            return reject(Status::unimplemented("unknown RPC"));
        };
        if rule.key_requirement == KeyRequirement::Never {
            return Box::pin(self.inner.call(request));
        }
        let caller = match self.auth.authenticate(&mut request, rule) {
            Ok(caller) => caller,
            Err(status) => return reject(status),
        };
        if let Err(status) = authorize(&caller, rule) {
            if rule.is_audited() {
                self.auth.audit_log.record(&caller, rule, status::reason_of(&status).as_str());
            }
            return reject(status);
        }
        request.extensions_mut().insert(caller.clone());
        let response = self.inner.call(request);
        let is_plain = caller.notes.is_none() && !rule.is_stream();
        if caller.key.is_none() || is_plain {
            return Box::pin(response);
        }
        let audit_log = rule.is_audited().then(|| self.auth.audit_log.clone());
        let is_audited = audit_log.is_some();
        let finished = async move { Ok(finish(response.await?, caller, rule, audit_log)) };
        if is_audited { run_to_completion(finished) } else { Box::pin(finished) }
    }
}

/// Runs a call in its own task. It completes although the client disconnects, so that the audit
/// log has its outcome.
fn run_to_completion<E: Send + 'static>(
    call: impl Future<Output = Result<Response<Body>, E>> + Send + 'static,
) -> ResponseFuture<E> {
    Box::pin(async move {
        let joined = tokio::spawn(call.instrument(Span::current())).await;
        joined.unwrap_or_else(|_| Ok(Status::internal("the handler panicked").into_http()))
    })
}

fn reject<E: Send + 'static>(status: Status) -> ResponseFuture<E> {
    Box::pin(std::future::ready(Ok(status.into_http())))
}

/// Records the outcome in the audit log, verifies the scope check of the handler, and makes a
/// streamed response end with the key.
fn finish(
    response: Response<Body>,
    caller: Caller,
    rule: &'static Rule,
    audit_log: Option<AuditLog>,
) -> Response<Body> {
    // tonic puts an error that precedes the first message into the extensions.
    let error = response.extensions().get::<Status>();
    if let Some(audit_log) = audit_log {
        let outcome = error.map_or_else(|| "OK".to_owned(), status::reason_of);
        audit_log.record(&caller, rule, &outcome);
    }
    if error.is_some() {
        return response;
    }
    if has_skipped_scope_check(&caller, rule) {
        tracing::error!(rpc = rule.name(), "handler skipped the scope check, response withheld");
        return Status::internal("the queues of the API key were not checked").into_http();
    }
    let Some(key) = caller.key.filter(|_| rule.is_stream()) else { return response };
    response.map(|body| {
        let key_ended = Box::pin(key.ended().clone().cancelled_owned());
        Body::new(KeyBoundBody { body, key_ended, key, is_closed: false })
    })
}

/// Returns whether the handler should have checked the scopes of the key and has not. Session and
/// Ingest are exempt: they read their queues from the stream, after the response has started.
fn has_skipped_scope_check(caller: &Caller, rule: &'static Rule) -> bool {
    let checks_later = matches!(rule.method, "Session" | "Ingest");
    let has_read_scopes = |notes: &Arc<CallNotes>| notes.has_read_scopes.load(Ordering::Relaxed);
    let is_scoped = caller.key.as_ref().is_some_and(|cached| !cached.key.scopes.is_all());
    rule.queues == QueueAccess::OfKey
        && is_scoped
        && !checks_later
        && !caller.notes.as_ref().is_some_and(has_read_scopes)
}

/// A streamed response body that closes when the API key expires or is revoked.
struct KeyBoundBody {
    body: Body,
    key_ended: Pin<Box<WaitForCancellationFutureOwned>>,
    key: Arc<CachedKey>,
    is_closed: bool,
}

impl HttpBody for KeyBoundBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_closed {
            return Poll::Ready(None);
        }
        // A frame is a whole message, so no message is cut here.
        if self.key_ended.as_mut().poll(context).is_ready() {
            self.is_closed = true;
            self.body = Body::empty();
            let mut trailers = http::HeaderMap::new();
            status::credential_ended(self.key.end_reason()).add_header(&mut trailers)?;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.is_closed || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
