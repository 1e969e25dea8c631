//! The gateway as a whole: its routes, what stands before them, and how it is served.

use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get, post};
use http::{HeaderName, Method, header};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::caller::{self, Guard};
use crate::metrics::{self, Metrics};
use crate::settings::{Settings, SettingsError};
use crate::upstream::Upstream;
use crate::{connections, grpc_web, openapi, panel, rest, session};

/// How often clients that are gone are forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// How long a browser may remember that another page may call.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// The server says whether it is well within this time.
const HEALTH_WITHIN: Duration = Duration::from_secs(2);

/// A gateway to one server.
#[derive(Clone)]
pub struct Gateway {
    settings: Settings,
    upstream: Upstream,
    metrics: Metrics,
    guard: Guard,
}

impl Gateway {
    /// Connects when the first request comes.
    ///
    /// # Errors
    /// [`SettingsError::Server`] when the address of the server is none.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let upstream = Upstream::new(&settings.server, &settings.access)?;
        let metrics = Metrics::default();
        let guard = Guard::new(settings.clone(), metrics.clone());
        Ok(Self { settings, upstream, metrics, guard })
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// All that it serves. Connections must bring [`axum::extract::ConnectInfo`].
    pub fn router(&self) -> Router {
        let session = get(session::show).post(session::sign_in).delete(session::sign_out);
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
            .layer(from_fn(session::lend))
            .layer(from_fn_with_state(self.guard.clone(), caller::check))
            .layer(self.cors())
            .layer(from_fn_with_state(self.metrics.clone(), metrics::observe))
    }

    /// Serves until `stop`, then lets what is open end for a moment.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        let tidy = async {
            loop {
                tokio::time::sleep(HOUSEKEEPING).await;
                self.guard.forget_idle();
            }
        };
        tokio::select! {
            ended = connections::serve(listener, self.router(), self.settings.limits, stop) => ended,
            () = tidy => unreachable!("it has no end"),
        }
    }

    /// Whether the server takes calls, as it says itself.
    pub(crate) async fn server_state(&self) -> Result<(), String> {
        let mut health = HealthClient::new(self.upstream.clone());
        let asked = health.check(HealthCheckRequest::default());
        match tokio::time::timeout(HEALTH_WITHIN, asked).await {
            Ok(Ok(answer)) if answer.get_ref().status() == ServingStatus::Serving => Ok(()),
            Ok(Ok(_)) => Err("the server says that it is not serving".to_owned()),
            Ok(Err(status)) => Err(status.message().to_owned()),
            Err(_) => Err("the server did not answer in 2 s".to_owned()),
        }
    }

    fn cors(&self) -> CorsLayer {
        let request = [
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
        let answer = [
            "grpc-status",
            "grpc-message",
            "grpc-status-details-bin",
            "retry-after",
            "x-request-id",
        ];
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.settings.allow_origins.iter().cloned()))
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
            .allow_headers(request.map(HeaderName::from_static))
            .expose_headers(answer.map(HeaderName::from_static))
            .max_age(PREFLIGHT_MAX_AGE)
            .vary([header::ORIGIN])
    }
}
