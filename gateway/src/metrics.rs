//! What a gateway counts. The server counts calls by method and outcome; here is what it does
//! not see: what was refused at the door, and how many requests are open there.

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

use crate::grpc_web;
use crate::held::Held;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Surface {
    surface: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SurfaceStatus {
    surface: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// The figures of one gateway.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<SurfaceStatus, Counter>,
    in_flight: Family<Surface, Gauge>,
    first_byte: Family<Surface, Histogram>,
    refusals: Family<Reason, Counter>,
}

/// One request; counted down when its answer has ended.
struct Open(Gauge);

impl Drop for Open {
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
        registry.register(
            "requests",
            "Requests by what they spoke and their HTTP status",
            requests.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests whose answer has not ended, streams among them",
            in_flight.clone(),
        );
        registry.register_with_unit(
            "first_byte",
            "From the request to the head of its answer",
            Unit::Seconds,
            first_byte.clone(),
        );
        registry.register("refusals", "Requests that the gateway itself refused", refusals.clone());
        Self { registry: Arc::new(registry), requests, in_flight, first_byte, refusals }
    }
}

impl Metrics {
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&Reason { reason }).inc();
    }

    /// For Prometheus.
    pub(crate) fn to_text(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("a String takes everything");
        out
    }

    fn answered(&self, surface: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&SurfaceStatus { surface, status }).inc();
        self.first_byte.get_or_create(&Surface { surface }).observe(took.as_secs_f64());
    }
}

/// Counts a request, and logs what it came to.
pub(crate) async fn observe(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let surface = surface(&request);
    let open = metrics.in_flight.get_or_create(&Surface { surface }).clone();
    open.inc();
    let open = Open(open);
    let (began, path) = (Instant::now(), request.uri().path().to_owned());
    let answer = next.run(request).await;
    let (status, took) = (answer.status().as_u16(), began.elapsed());
    metrics.answered(surface, status, took);
    tracing::debug!(surface, status, ?took, path, "answered");
    answer.map(|body| Body::new(Held::new(body, open)))
}

fn surface(request: &Request) -> &'static str {
    let path = request.uri().path();
    if grpc_web::is_spoken_in(request.headers()) {
        "grpc_web"
    } else if path.starts_with("/v1/") {
        "rest"
    } else if path == "/session" {
        "session"
    } else {
        "panel"
    }
}
