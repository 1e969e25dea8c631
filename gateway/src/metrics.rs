//! Metrics of the gateway. The server counts calls by method and outcome; these metrics cover
//! what the server does not see, such as requests that the gateway refuses.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::guarded_body::GuardedBody;
use crate::protocol;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SurfaceLabels {
    surface: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    surface: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: Cow<'static, str>,
}

/// The metrics of one gateway.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    in_flight: Family<SurfaceLabels, Gauge>,
    first_byte: Family<SurfaceLabels, Histogram>,
    refusals: Family<RefusalLabels, Counter>,
}

/// Decrements the gauge of requests in flight when it is dropped.
struct InFlightGuard(Gauge);

impl InFlightGuard {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::default();
        let in_flight = Family::default();
        // 0.5 ms to 16 s.
        let first_byte = Family::new_with_constructor(|| -> Histogram {
            Histogram::new(exponential_buckets(0.000_5, 2.0, 16))
        } as fn() -> Histogram);
        let refusals = Family::default();
        let mut registry = Registry::with_prefix("sentinel_gateway");
        registry.register("requests", "Requests by surface and HTTP status", requests.clone());
        registry.register(
            "requests_in_flight",
            "Requests, including streams, whose response is not complete",
            in_flight.clone(),
        );
        registry.register_with_unit(
            "first_byte",
            "Time from the request to the head of the response",
            Unit::Seconds,
            first_byte.clone(),
        );
        registry.register("refusals", "Requests that the gateway refused", refusals.clone());
        Self { registry: Arc::new(registry), requests, in_flight, first_byte, refusals }
    }
}

impl Metrics {
    pub(crate) fn count_refusal(&self, reason: Cow<'static, str>) {
        self.refusals.get_or_create(&RefusalLabels { reason }).inc();
    }

    /// Returns all metrics in the OpenMetrics text format.
    pub(crate) fn to_text(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("writing to a String does not fail");
        out
    }

    fn count_response(&self, surface: &'static str, status: u16, latency: Duration) {
        self.requests.get_or_create(&RequestLabels { surface, status }).inc();
        self.first_byte.get_or_create(&SurfaceLabels { surface }).observe(latency.as_secs_f64());
    }
}

/// Middleware that counts a request and logs its status and latency.
pub(crate) async fn observe(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let surface = surface(&request);
    let gauge = metrics.in_flight.get_or_create(&SurfaceLabels { surface }).clone();
    let guard = InFlightGuard::new(gauge);
    let (started, path) = (Instant::now(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let (status, latency) = (response.status().as_u16(), started.elapsed());
    metrics.count_response(surface, status, latency);
    tracing::debug!(surface, status, ?latency, path, "request handled");
    response.map(|body| Body::new(GuardedBody::new(body, guard)))
}

/// Returns the part of the gateway that a request addresses.
fn surface(request: &Request) -> &'static str {
    let path = request.uri().path();
    if protocol::is_grpc_web(request.headers()) {
        "grpc_web"
    } else if path.starts_with("/v1/") {
        "rest"
    } else if path == "/session" {
        "session"
    } else {
        "panel"
    }
}
