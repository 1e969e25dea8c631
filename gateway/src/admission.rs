//! Checks that every request passes before routing: host, origin, body size, and the limits of
//! its client.

pub(crate) mod client_limits;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::Limited;

use self::client_limits::ClientLimits;
use crate::error::GatewayError;
use crate::guarded_body::GuardedBody;
use crate::metrics::Metrics;
use crate::origin;
use crate::request_body::{BodyContext, BodyMemory, TimedBody};
use crate::settings::{Limits, Settings};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The admission control of one gateway.
#[derive(Clone)]
pub(crate) struct Admission {
    inner: Arc<AdmissionInner>,
}

struct AdmissionInner {
    settings: Settings,
    client_limits: ClientLimits,
    bodies: Arc<BodyMemory>,
    metrics: Metrics,
}

impl Admission {
    pub(crate) fn new(settings: Settings, metrics: Metrics) -> Self {
        let client_limits = ClientLimits::new(settings.limits);
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let Limits { bodies_max_bytes, body_max_bytes, .. } = settings.limits;
        let bodies = Arc::new(BodyMemory::new(bytes(bodies_max_bytes), bytes(body_max_bytes)));
        Self { inner: Arc::new(AdmissionInner { settings, client_limits, bodies, metrics }) }
    }

    /// Drops the state of clients that sent nothing for a while.
    pub(crate) fn forget_idle_clients(&self) {
        self.inner.client_limits.forget_idle();
    }

    fn client(&self, request: &Request) -> IpAddr {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |ConnectInfo(address)| address.ip());
        if !self.inner.settings.trusts_forwarded {
            return peer;
        }
        // The trusted proxy appends the last address. A client can forge those before it.
        let forwarded = request.headers().get_all(FORWARDED_FOR).into_iter().next_back();
        let forwarded = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next());
        forwarded.and_then(|text| text.trim().parse().ok()).unwrap_or(peer)
    }

    fn check_host_and_origin(&self, headers: &HeaderMap) -> Result<(), GatewayError> {
        let Settings { allow_hosts, allow_origins, .. } = &self.inner.settings;
        if !allow_hosts.is_empty() {
            let name = origin::host(headers).map(|host| host.host().to_ascii_lowercase());
            // DNS rebinding: a page of another site whose host name resolves to this machine.
            if name.is_none_or(|name| !allow_hosts.contains(&name)) {
                return Err(GatewayError::host_not_allowed());
            }
        }
        match headers.get(header::ORIGIN) {
            Some(origin) if !origin::is_same_origin(headers) && !allow_origins.contains(origin) => {
                Err(GatewayError::origin_not_allowed(
                    "pages of this origin may not call the gateway: add it with --allow-origin",
                ))
            }
            _ => Ok(()),
        }
    }

    /// Bounds the size of a body and the time that it takes.
    fn bound_body(&self, mut request: Request, client: IpAddr) -> Request {
        if request.body().is_end_stream() {
            return request;
        }
        let client = client_limits::client_of(client);
        let context = BodyContext::new(self.inner.bodies.clone(), client);
        request.extensions_mut().insert(context.clone());
        let Limits { body_max_bytes, body_timeout, .. } = self.inner.settings.limits;
        let max = usize::try_from(body_max_bytes).unwrap_or(usize::MAX);
        request.map(|body| {
            let limited = Limited::new(body, max);
            Body::new(TimedBody::new(limited, body_timeout, context.failure))
        })
    }

    fn check_size(&self, headers: &HeaderMap) -> Result<(), GatewayError> {
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let max = self.inner.settings.limits.body_max_bytes;
        match length {
            Some(length) if length > max => Err(GatewayError::body_too_large(format!(
                "the request body has {length} bytes; the limit is {max} bytes"
            ))),
            _ => Ok(()),
        }
    }
}

/// Middleware that refuses a request that fails a check. The permit of an admitted request is
/// held until the body of its response is dropped.
pub(crate) async fn admit(
    State(admission): State<Admission>,
    request: Request,
    next: Next,
) -> Response {
    let client = admission.client(&request);
    let headers = request.headers();
    let checked = admission.check_host_and_origin(headers);
    let admitted = match checked.and_then(|()| admission.check_size(headers)) {
        Ok(()) => admission.inner.client_limits.acquire(client).await,
        Err(error) => Err(error),
    };
    match admitted {
        Ok(permit) => {
            let request = admission.bound_body(request, client);
            next.run(request).await.map(|body| Body::new(GuardedBody::new(body, permit)))
        }
        Err(error) => {
            admission.inner.metrics.count_refusal(error.reason());
            error.response_to(request.headers())
        }
    }
}

#[cfg(test)]
mod tests;
