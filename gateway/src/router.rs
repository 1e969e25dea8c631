//! The gateway: its routes, the middleware around them, and the task that serves them.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get, post};
use http::{HeaderName, Method, header};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::admission::{self, Admission};
use crate::connections::ConnectionLimits;
use crate::metrics::{self, Metrics};
use crate::settings::{Limits, Settings, SettingsError};
use crate::upstream::Upstream;
use crate::{connections, grpc_web, openapi, panel, rest, session};

/// The interval at which the state of idle clients is dropped.
const IDLE_CLIENTS_INTERVAL: Duration = Duration::from_secs(60);

/// How long a browser may cache the response to a CORS preflight request.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// The limit of the body of a sign-in.
const SIGN_IN_MAX_BYTES: usize = 4 << 10;

const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// A gateway to one server.
#[derive(Clone)]
pub struct Gateway {
    settings: Settings,
    upstream: Upstream,
    metrics: Metrics,
    admission: Admission,
}

impl Gateway {
    /// Creates a gateway. It connects to the server on the first request.
    ///
    /// # Errors
    /// [`SettingsError::Server`] when the server URL is invalid.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let upstream = Upstream::new(&settings.server, &settings.connect)?;
        let metrics = Metrics::default();
        let admission = Admission::new(settings.clone(), metrics.clone());
        Ok(Self { settings, upstream, metrics, admission })
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns the routes with their middleware. Requests must carry an
    /// [`axum::extract::ConnectInfo`] with the address of the client.
    pub fn router(&self) -> Router {
        let session = get(session::show).post(session::sign_in).delete(session::sign_out);
        // Anyone may send a sign-in, and it has only a key.
        let session = session.layer(DefaultBodyLimit::max(SIGN_IN_MAX_BYTES));
        Router::new()
            .route("/session", session)
            .route("/v1/{*path}", any(rest::serve))
            .route("/v1", any(rest::serve))
            .route("/openapi.json", get(openapi::json))
            .route("/docs", get(openapi::page))
            .route("/docs/style.css", get(openapi::style))
            .route("/{service}/{method}", post(grpc_web::proxy).fallback(panel::serve))
            .with_state(self.upstream.clone())
            .fallback(panel::serve)
            .layer(from_fn(session::authorize_by_cookie))
            .layer(from_fn_with_state(self.admission.clone(), admission::admit))
            .layer(self.cors())
            .layer(from_fn_with_state(self.metrics.clone(), metrics::observe))
    }

    /// Serves until `stop` is cancelled, then gives open requests a short time to finish.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        let forget_idle_clients = async {
            loop {
                tokio::time::sleep(IDLE_CLIENTS_INTERVAL).await;
                self.admission.forget_idle_clients();
            }
        };
        let Limits { connections_max, head_timeout, keep_alive, .. } = self.settings.limits;
        let limits = ConnectionLimits {
            max: connections_max,
            // Behind a proxy every connection is from the address of the proxy.
            client_max: if self.settings.trusts_forwarded {
                connections_max
            } else {
                (connections_max / 4).max(1)
            },
            closes_busy: false,
            head_timeout,
            idle_timeout: keep_alive,
        };
        let serve = connections::serve(listener, self.router(), limits, stop);
        tokio::select! {
            result = serve => result,
            () = forget_idle_clients => unreachable!("the loop never returns"),
        }
    }

    /// Asks the server for its health. The error says why it is not serving.
    pub(crate) async fn check_server_health(&self) -> Result<(), String> {
        let mut health = HealthClient::new(self.upstream.clone());
        let check = health.check(HealthCheckRequest::default());
        match tokio::time::timeout(HEALTH_CHECK_TIMEOUT, check).await {
            Ok(Ok(response)) if response.get_ref().status() == ServingStatus::Serving => Ok(()),
            Ok(Ok(_)) => Err("the server reports that it is not serving".to_owned()),
            Ok(Err(status)) => Err(status.message().to_owned()),
            Err(_) => Err("the server did not respond to a health check within 2 s".to_owned()),
        }
    }

    fn cors(&self) -> CorsLayer {
        let request_headers = [
            "authorization",
            "content-type",
            "x-grpc-web",
            "x-user-agent",
            "grpc-timeout",
            "connect-protocol-version",
            "last-event-id",
            "x-request-id",
            "traceparent",
            "tracestate",
        ];
        let response_headers = [
            "grpc-status",
            "grpc-message",
            "grpc-status-details-bin",
            "retry-after",
            "x-request-id",
        ];
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.settings.allow_origins.iter().cloned()))
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
            .allow_headers(request_headers.map(HeaderName::from_static))
            .expose_headers(response_headers.map(HeaderName::from_static))
            .max_age(PREFLIGHT_MAX_AGE)
            .vary([header::ORIGIN])
    }
}
