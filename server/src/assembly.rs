//! Assembly: opens the stores, builds the services, and starts and stops a server in order.
//! The only module that names the concrete store backends.

mod gateway_mount;
mod health;
mod reflection;
mod store_health;
mod stores;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use sentinel_domain::{Ack, State};
use sentinel_engine::{Engine, EngineDeps, Rng, Settings, Tasks};
use sentinel_ledger::Ledger;
use sentinel_proto::admin::v1::audit_service_server::AuditServiceServer;
use sentinel_proto::admin::v1::key_service_server::KeyServiceServer;
use sentinel_proto::admin::v1::queue_service_server::QueueServiceServer;
use sentinel_proto::admin::v1::worker_registry_service_server::WorkerRegistryServiceServer;
use sentinel_proto::jobs::v1::ingest_service_server::IngestServiceServer;
use sentinel_proto::jobs::v1::job_service_server::JobServiceServer;
use sentinel_proto::jobs::v1::kind_service_server::KindServiceServer;
use sentinel_proto::workers::v1::worker_service_server::WorkerServiceServer;
use sentinel_store::ServerId;
use sentinel_store_redis::StoreHealth;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;

use crate::config::{AckLevel, Config, Credentials};
use crate::identity::{ApiKeys, AuditLog, AuthLayer};
use crate::listener::{LimitedListener, connections_max};
use crate::metrics::Metrics;
use crate::observer::MetricsObserver;
use crate::ops::{self, Readiness};
use crate::service::{
    AuditApi, IngestApi, JobApi, KeyApi, KindApi, QueueApi, WorkerApi, WorkerRegistryApi,
};
use crate::tls::ServerTls;

pub use sentinel_engine::Clock;
use stores::Stores;

/// The largest gRPC message: a payload of up to 16 MiB and its fields.
const MESSAGE_MAX_BYTES: usize = 20 << 20;

/// What a client may send ahead on one stream, in bytes.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// What a client may send ahead on all streams of a connection, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// The time for the last commits and projections after the streams have closed.
const LAST_WRITES_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval at which the gauges of jobs and sessions are read.
const GAUGES_INTERVAL: Duration = Duration::from_secs(2);

/// A connection that has not completed the HTTP/2 handshake by then is closed.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that accepts calls.
pub struct RunningServer {
    /// The gRPC address.
    pub address: SocketAddr,
    /// The address of the gateway, which serves REST and the panel; none when it is off.
    pub gateway_address: Option<SocketAddr>,
    /// Whether the store was empty at the start.
    pub is_new: bool,
    /// The address of /metrics, /healthz and /readyz.
    pub ops_address: SocketAddr,
    pub(crate) api_keys: ApiKeys,
    pub(crate) clock: Clock,
    tasks: Tasks,
    close_streams: CancellationToken,
    stop_listening: CancellationToken,
    /// Cancelled after the calls are drained, so that probes see the drain.
    stop_ops: CancellationToken,
    serving: JoinHandle<()>,
    readiness: watch::Sender<Readiness>,
    health: HealthReporter,
    store_health: Option<watch::Receiver<StoreHealth>>,
}

/// Raises the message limits of a service whose messages carry payloads.
macro_rules! with_payload_limits {
    ($service:expr) => {
        $service
            .max_decoding_message_size(MESSAGE_MAX_BYTES)
            .max_encoding_message_size(MESSAGE_MAX_BYTES)
    };
}

/// The limits of one connection. hyper has defaults for all of them; those that protect the
/// server are set here, so that an upgrade of hyper does not change them.
fn server_builder() -> Server {
    Server::builder()
        // Also closes a connection that sends headers without end: it cannot answer a ping.
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        // Fixed windows: an adaptive one starts at 64 KiB, and HTTP/2 closes a connection whose
        // unread small frames exceed half of its window, as 200 calls at once do.
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        // Calls and watches of one connection; a client opens another connection for more.
        .max_concurrent_streams(200)
        .http2_max_header_list_size(16 << 10)
        // Limits streams that are opened and reset at once; beyond it the connection is closed.
        .http2_max_pending_accept_reset_streams(Some(20))
        .http2_max_local_error_reset_streams(Some(1_024))
}

fn engine_settings(config: &Config) -> Settings {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Settings {
        payload_max_bytes: config.payload_max_bytes,
        auto_create_queues: config.auto_create_queues,
        session_ttl_ms: ms(config.session_ttl),
        ping_ms: ms(config.ping_interval),
        receive_timeout_ms: ms(config.receive_timeout),
        store_retention_ms: ms(config.store_retention),
        watch_window_ms: ms(config.watch_window),
        keep_succeeded_ms: ms(config.keep_succeeded),
        keep_unsuccessful_ms: ms(config.keep_unsuccessful),
        keep_terminal_max: config.keep_terminal_max,
        ack: match config.ack {
            AckLevel::Store => Ack::Store,
            AckLevel::Replicated => Ack::Replicated,
            AckLevel::Ledger => Ack::Ledger,
        },
        has_replicas: config.store_url.is_some(),
        ..Settings::default()
    }
}

fn engine_deps(stores: Stores, settings: Settings, observer: MetricsObserver) -> EngineDeps {
    let Stores { store, ledger, clock, .. } = stores;
    EngineDeps {
        store,
        ledger,
        clock,
        rng: Rng::system(),
        observer: Arc::new(observer),
        settings,
        server: ServerId(rand::random()),
    }
}

/// What the gRPC services need.
struct ServiceDeps {
    engine: Engine,
    ledger: Ledger,
    api_keys: ApiKeys,
    clock: Clock,
    tasks: Tasks,
    close_streams: CancellationToken,
}

/// All gRPC services except for the health service.
fn routes(deps: ServiceDeps, server_name: &str) -> Result<Routes> {
    let ServiceDeps { engine, ledger, api_keys, clock, tasks, close_streams } = deps;
    let jobs = JobApi::new(engine.clone(), close_streams.clone());
    let ingest = IngestApi::new(engine.clone(), tasks.clone(), close_streams.clone());
    let workers = WorkerApi::new(engine.clone(), tasks, close_streams, server_name);
    Ok(Routes::new(reflection::v1()?)
        .add_service(reflection::v1alpha()?)
        .add_service(with_payload_limits!(JobServiceServer::new(jobs)))
        .add_service(with_payload_limits!(IngestServiceServer::new(ingest)))
        .add_service(QueueServiceServer::new(QueueApi::new(engine.clone())))
        .add_service(WorkerRegistryServiceServer::new(WorkerRegistryApi::new(engine.clone())))
        .add_service(with_payload_limits!(KindServiceServer::new(KindApi::new(engine))))
        .add_service(KeyServiceServer::new(KeyApi::new(api_keys, clock)))
        .add_service(AuditServiceServer::new(AuditApi::new(ledger)))
        .add_service(with_payload_limits!(WorkerServiceServer::new(workers))))
}

impl RunningServer {
    /// Opens the stores, starts the background tasks and listens.
    ///
    /// # Errors
    /// A port is taken, a file of the configuration is unusable, or a store cannot be opened.
    pub async fn start(config: &Config) -> Result<Self> {
        Self::start_with_clock(config, Clock::system()).await
    }

    /// As [`RunningServer::start`], with another clock, for tests that advance the time.
    ///
    /// # Errors
    /// As [`RunningServer::start`].
    pub async fn start_with_clock(config: &Config, clock: Clock) -> Result<Self> {
        let tls = ServerTls::load(config)?;
        // Bind before the stores are opened: a port that is taken then fails at once.
        let (listener, ops_listener, gateway_listener) = bind_all(config).await?;
        let (address, ops_address) = (listener.local_addr()?, ops_listener.local_addr()?);
        let tasks = Tasks::default();
        let settings = engine_settings(config);
        let stores = stores::open(config, &settings, clock).await?;
        let (is_new, store_health) = (stores.is_new(), stores.health.clone());
        let (ledger, clock) = (stores.ledger.clone(), stores.clock.clone());
        let metrics = Metrics::new();
        let (api_keys, auth) = authentication(config, &ledger, &clock, &tasks).await?;
        let observer = MetricsObserver::new(metrics.clone(), config.otlp_endpoint.is_some());
        let engine = Engine::start(engine_deps(stores, settings, observer), &tasks).await?;
        let close_streams = CancellationToken::new();
        let (stop_listening, stop_ops) = (CancellationToken::new(), CancellationToken::new());
        let (readiness, is_ready) = watch::channel(Readiness::Ready);
        let ops_routes = ops::router(metrics.clone(), is_ready);
        let ops_hosts = config.ops_allow_hosts.clone();
        spawn_ops(ops_listener, ops_routes, (ops_hosts, stop_ops.clone()), &tasks);
        tasks.spawn("gauges", update_gauges(engine.clone(), metrics.clone(), tasks.closing()));
        let (health, health_service) = tonic_health::server::health_reporter();
        health::set_serving(&health).await;
        let is_unreachable = engine.store_unreachable();
        store_health::watch(store_health.clone(), is_unreachable, &tasks, &readiness, &health);
        let deps = ServiceDeps {
            engine,
            ledger,
            api_keys: api_keys.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            close_streams: close_streams.clone(),
        };
        let router = server_builder()
            .layer(ops::rpc::RpcMetricsLayer::new(metrics))
            .layer(auth)
            .add_routes(routes(deps, &config.server_name)?)
            .add_service(health_service);
        let has_tls = watch_tls_files(tls.as_ref(), config, &tasks);
        let incoming = LimitedListener::new(listener, connections_max(), HANDSHAKE_TIMEOUT)
            .with_tls(tls)
            .into_incoming();
        let stop = stop_listening.clone().cancelled_owned();
        let serving = spawn_serving(async move {
            if let Err(error) = router.serve_with_incoming_shutdown(incoming, stop).await {
                tracing::error!(%error, "gRPC listener failed");
            }
        });
        let gateway_address =
            gateway_mount::spawn(gateway_listener, address, &tasks, &stop_listening)?;
        let gateway = gateway_address.map(tracing::field::display);
        tracing::info!(%address, %ops_address, gateway, tls = has_tls, "serving");
        Ok(Self {
            address,
            gateway_address,
            is_new,
            ops_address,
            api_keys,
            clock,
            tasks,
            close_streams,
            stop_listening,
            stop_ops,
            serving,
            readiness,
            health,
            store_health,
        })
    }

    /// Shuts down gracefully: refuses new calls, sends GoAway to workers, closes watches, and
    /// waits for the last writes. Returns whether everything closed within the timeouts.
    pub async fn stop(self, drain_timeout: Duration) -> bool {
        self.readiness.send_replace(Readiness::NotReady("the server is shutting down".into()));
        health::set_not_serving(&self.health).await;
        self.close_streams.cancel();
        self.stop_listening.cancel();
        let abort = self.serving.abort_handle();
        // hyper waits for connections that their clients never close; the timeout limits that.
        let drained = tokio::time::timeout(drain_timeout, self.serving).await.is_ok();
        if !drained {
            tracing::warn!(?drain_timeout, "drain timed out, open calls were aborted");
            abort.abort();
        }
        self.stop_ops.cancel();
        let closed = self.tasks.close(LAST_WRITES_TIMEOUT).await;
        if !closed {
            tracing::error!(
                timeout = ?LAST_WRITES_TIMEOUT,
                "background tasks did not stop in time; at the next start the projector catches up \
                 from the journal"
            );
        }
        drained && closed
    }

    /// Completes when the store was rebuilt, after which the server must be started again.
    /// Never completes for a data directory.
    pub(crate) fn store_rebuilt(&self) -> impl Future<Output = ()> + use<> {
        store_health::wait_until_rebuilt(self.store_health.clone())
    }
}

/// Spawns the reload of the TLS files. Warns when API keys are sent without encryption.
/// Returns whether TLS is on.
fn watch_tls_files(tls: Option<&ServerTls>, config: &Config, tasks: &Tasks) -> bool {
    if let Some(tls) = tls {
        tasks.spawn("tls", tls.clone().run(tasks.closing()));
    } else if config.credentials == Credentials::Required && !config.listen.ip().is_loopback() {
        tracing::warn!(
            "API keys cross the network unencrypted: set tls_cert and tls_key, unless a proxy in \
             front of this server terminates TLS"
        );
    }
    tls.is_some()
}

/// Opens the API keys and the audit log, and spawns their tasks.
async fn authentication(
    config: &Config,
    ledger: &Ledger,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<(ApiKeys, AuthLayer)> {
    let api_keys = ApiKeys::open(ledger.clone(), clock.clone()).await?;
    let (audit_log, writer) = AuditLog::new(ledger.clone(), clock.clone());
    tasks.spawn("keys", api_keys.clone().run(tasks.closing()));
    tasks.spawn("audit", writer.run(tasks.closing()));
    let is_open = config.credentials == Credentials::Off;
    if !is_open && api_keys.count_active() == 0 {
        tracing::warn!(
            "credentials are required and there is no API key, so every call is refused: create \
             the first key with `sentinel key create --name root --role admin` and --data-dir or \
             --ledger-url"
        );
    }
    let auth = AuthLayer::new(api_keys.clone(), audit_log, is_open);
    Ok((api_keys, auth))
}

fn spawn_ops(
    listener: TcpListener,
    routes: axum::Router,
    (hosts, stop): (String, CancellationToken),
    tasks: &Tasks,
) {
    tasks.spawn("ops", async move {
        let hosts: Vec<String> = hosts.split(',').map(str::to_owned).collect();
        if let Err(error) = ops::serve(listener, routes, &hosts, stop).await {
            tracing::error!(%error, "ops listener failed");
        }
    });
}

/// Spawned outside of `Tasks`: the tasks are closed only after serving has stopped.
fn spawn_serving(serving: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(serving)
}

/// Binds the listeners of gRPC, of the ops port and of the gateway.
async fn bind_all(config: &Config) -> Result<(TcpListener, TcpListener, Option<TcpListener>)> {
    let listener = bind("listen", config.listen).await?;
    let ops_listener = bind("ops_listen", config.ops_listen).await?;
    let gateway_listener = match config.gateway_listen {
        Some(address) => Some(bind("gateway_listen", address).await?),
        None => None,
    };
    Ok((listener, ops_listener, gateway_listener))
}

async fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "{setting}: cannot listen on {address}; stop the process that uses the port, or set \
             another address"
        )
    })
}

async fn update_gauges(engine: Engine, metrics: Metrics, closing: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(GAUGES_INTERVAL) => {}
            () = closing.cancelled() => return,
        }
        let (sessions, slots) = engine.sessions().load();
        metrics.set_sessions(sessions, slots);
        if let Ok(depths) = engine.queues().depths().await {
            metrics.set_jobs(depths.iter().map(|d| (&*d.queue, state_name(d.state), d.count)));
        }
    }
}

const fn state_name(state: State) -> &'static str {
    match state {
        State::Scheduled => "scheduled",
        State::Blocked => "blocked",
        State::Ready => "ready",
        State::Running => "running",
        State::Succeeded => "succeeded",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
        State::Expired => "expired",
    }
}
