//! Endpoints for operators: `/metrics`, `/healthz` and `/readyz`. They have their own listener,
//! which neither the limits of the public one nor its clients reach.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connections::{self, ConnectionLimits};
use crate::origin;
use crate::router::Gateway;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Enough for probes and scrapers. A new probe is always served: it takes the place of an idle
/// connection, or of the slowest scrape.
const LIMITS: ConnectionLimits = ConnectionLimits {
    max: 64,
    client_max: 16,
    closes_busy: true,
    head_timeout: Duration::from_secs(10),
    // Longer than the usual interval of scrapes.
    idle_timeout: Duration::from_secs(75),
};

/// The path that any host may use, because it has no data.
const HEALTH_PATH: &str = "/healthz";

/// Returns the routes of the gateway.
pub fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route(HEALTH_PATH, get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(gateway)
}

/// Serves routes for operators until `stop` is cancelled, and at most 2 s longer. Requests must
/// be for an IP address, for `localhost` or for a host in `allow_hosts`, a name without a port.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    allow_hosts: &[String],
    stop: CancellationToken,
) -> io::Result<()> {
    let names = allow_hosts.iter().map(|name| name.trim().to_ascii_lowercase());
    let names: Arc<[String]> = names.chain(["localhost".to_owned()]).collect();
    let routes = routes.layer(from_fn_with_state(names, check_host));
    connections::serve(listener, routes, LIMITS, stop).await
}

/// Prevents DNS rebinding: a page of another site whose name resolves to this machine would read
/// the names of queues. Such a page cannot use an IP address, and a browser always sends a host.
async fn check_host(State(names): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_allowed = request.uri().path() == HEALTH_PATH
        || !headers.contains_key(header::HOST)
        || origin::host(headers).is_some_and(|host| is_ip(host.host()) || is_one_of(&names, &host));
    if is_allowed {
        return next.run(request).await;
    }
    let text = "the host of the request is not a name of this listener: use its IP address, or \
                add the name with --ops-allow-host (sentinel-gateway) or ops_allow_hosts (sentinel)\n";
    (StatusCode::MISDIRECTED_REQUEST, text).into_response()
}

fn is_ip(host: &str) -> bool {
    host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok()
}

fn is_one_of(names: &[String], host: &http::uri::Authority) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(host.host()))
}

async fn metrics(State(gateway): State<Gateway>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], gateway.metrics().to_text())
}

/// A gateway is ready when its server is serving.
async fn ready(State(gateway): State<Gateway>) -> (StatusCode, String) {
    match gateway.check_server_health().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}
