//! Assembly: the only place that names concrete stores, and the order of start and stop.

mod condition;
mod dev;
mod front;
mod store;

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use sentinel_domain::Ack;
use sentinel_engine::{Chance, Engine, Parts, Settings, Tasks};
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
use sentinel_store_redis::Condition;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::config::{AckLevel, Config, Credentials, Mode};
use crate::identity::{Identify, Keyring, Trail};
use crate::listener::{Connections, Patience, connections_max};
use crate::metrics::Metrics;
use crate::observe::Observe;
use crate::ops::{self, Readiness};
use crate::service::{
    AuditTrail, Jobs, Keys, KindsService, Producers, QueuesService, WorkerRegistry, Workers,
};
use crate::tls::Tls;

pub use sentinel_engine::Clock;
use store::Stores;
pub(crate) use store::open_stores;

/// A frame carries a payload of up to 16 MiB and what belongs to it.
const MESSAGE_MAX_BYTES: usize = 20 << 20;

/// What is left to do when the streams have ended: the last commits and projections.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// How often the numbers of jobs and of sessions are read for the metrics.
const DEPTHS_EVERY: Duration = Duration::from_secs(2);

/// Runs a server until SIGTERM or SIGINT; a second one stops at once. When its store was
/// rebuilt it begins anew: nothing that it knew of the old one holds.
pub async fn serve(config: Config, mode: Mode) -> Result<ExitCode> {
    let mut config = config;
    // Before anything is started, and kept: no signal is lost between two waits for one.
    let mut signals = Signals::listen().context("listen for signals")?;
    loop {
        let server = Running::start(&config).await?;
        // The same port again, also where the system chose it.
        (config.listen, config.ops_listen) = (server.address, server.ops_address);
        config.gateway_listen = server.gateway_address;
        let fleet = match mode {
            Mode::Dev => Some(dev::Fleet::start(&config, &server).await?),
            Mode::Serve => None,
        };
        let signal = tokio::select! {
            signal = signals.next() => Some(signal),
            () = condition::until_rebuilt(server.condition.clone()) => None,
        };
        match signal {
            Some(signal) => tracing::info!(signal, "draining; a second signal stops at once"),
            None => tracing::info!("the store was rebuilt: beginning anew with it"),
        }
        let drained = async {
            if let Some(fleet) = fleet {
                fleet.stop().await;
            }
            server.stop(config.drain_timeout).await
        };
        let clean = tokio::select! {
            clean = drained => clean,
            signal = signals.next() => {
                tracing::warn!(signal, "stopped at once");
                return Ok(ExitCode::from(130));
            }
        };
        if signal.is_some() {
            return Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
}

/// What asks the process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// A server that answers calls.
pub struct Running {
    /// Where it listens.
    pub address: std::net::SocketAddr,
    /// Where browsers find it.
    pub gateway_address: Option<std::net::SocketAddr>,
    /// The data directory held nothing at the start.
    pub is_new: bool,
    /// Where /metrics is.
    pub ops_address: std::net::SocketAddr,
    tasks: Tasks,
    streams: CancellationToken,
    listener: CancellationToken,
    /// Outlives the calls, so that probes are told of the drain.
    ops_listener: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
    readiness: watch::Sender<Readiness>,
    health: tonic_health::server::HealthReporter,
    condition: Option<watch::Receiver<Condition>>,
    keyring: Keyring,
    clock: Clock,
}

/// A service whose frames carry payloads.
macro_rules! sized {
    ($service:expr) => {
        $service
            .max_decoding_message_size(MESSAGE_MAX_BYTES)
            .max_encoding_message_size(MESSAGE_MAX_BYTES)
    };
}

/// A connection that has not begun to speak HTTP/2 by then is closed.
const GREETING: Patience = Patience::Greeting(Duration::from_secs(10));

/// What a connection may ask of the server. hyper has defaults for all of it; those that keep
/// a stranger within bounds are said here, so that another version does not change them.
fn server_builder() -> Server {
    Server::builder()
        // Also ends a connection whose headers never end: it can not answer.
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .http2_adaptive_window(Some(true))
        // Calls and watches of one connection; a client opens another for more.
        .max_concurrent_streams(200)
        .http2_max_header_list_size(16 << 10)
        // Streams that are opened and reset at once: beyond it the connection is closed.
        .http2_max_pending_accept_reset_streams(Some(20))
        .http2_max_local_error_reset_streams(Some(1_024))
}

fn settings(config: &Config) -> Settings {
    let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Settings {
        payload_max_bytes: config.payload_max_bytes,
        auto_create_queues: config.auto_create_queues,
        session_ttl_ms: ms(config.session_ttl),
        ping_ms: ms(config.ping),
        receive_timeout_ms: ms(config.receive_timeout),
        finals_hot_ms: ms(config.store_retention),
        watch_window_ms: ms(config.watch_window),
        keep_succeeded_ms: ms(config.keep_succeeded),
        keep_unsuccessful_ms: ms(config.keep_unsuccessful),
        keep_finished_max: config.keep_finished_max,
        ack: match config.ack {
            AckLevel::Store => Ack::Store,
            AckLevel::Replicated => Ack::Replicated,
            AckLevel::Ledger => Ack::Ledger,
        },
        has_replicas: config.store_url.is_some(),
        ..Settings::default()
    }
}

fn parts(stores: Stores, settings: Settings, observe: Observe) -> Parts {
    let Stores { store, ledger, clock, .. } = stores;
    Parts {
        store,
        ledger,
        clock,
        chance: Chance::system(),
        observer: Arc::new(observe),
        settings,
        server: ServerId(rand::random()),
    }
}

impl Running {
    /// Opens the data, starts the loops and listens.
    pub async fn start(config: &Config) -> Result<Self> {
        Self::start_with(config, Clock::system()).await
    }

    /// As [`Running::start`], by another clock: for tests that let a day pass.
    pub async fn start_with(config: &Config, clock: Clock) -> Result<Self> {
        let tls = Tls::of(config)?;
        // Bound before the data is opened, so that a port that is taken costs nothing.
        let listener = bind("listen", config.listen).await?;
        let ops_listener = bind("ops_listen", config.ops_listen).await?;
        let front = front::Front::bind(config.gateway_listen).await?;
        let (address, ops_address) = (listener.local_addr()?, ops_listener.local_addr()?);
        let tasks = Tasks::default();
        let settings = settings(config);
        let stores = store::open(config, &settings, clock).await?;
        let (is_new, condition) = (stores.is_new(), stores.condition.clone());
        let metrics = Metrics::new();
        let (ledger, clock) = (stores.ledger.clone(), stores.clock.clone());
        let (keyring, identify) = identity(config, &ledger, &clock, &tasks).await?;
        let observe = Observe::new(metrics.clone(), config.otlp_endpoint.is_some());
        let engine = Engine::start(parts(stores, settings, observe), &tasks).await?;
        let streams = CancellationToken::new();
        let (stop_listening, stop_ops) = (CancellationToken::new(), CancellationToken::new());
        let (readiness, is_ready) = watch::channel(Readiness::Ready);
        let routes = ops::router(metrics.clone(), is_ready);
        spawn_ops(ops_listener, routes, stop_ops.clone(), &tasks);
        tasks.spawn("depths", depths(engine.clone(), metrics.clone(), tasks.closing()));
        let (health, health_service) = tonic_health::server::health_reporter();
        serving(&health).await;
        condition::watch(condition.clone(), engine.cut_off(), &tasks, &readiness, &health);
        let producers = Producers::new(engine.clone(), tasks.clone(), streams.clone());
        let workers =
            Workers::new(engine.clone(), tasks.clone(), streams.clone(), &config.server_name);
        let router = server_builder()
            .layer(ops::rpc::ObserveCalls::new(metrics))
            .layer(identify)
            .add_service(health_service)
            .add_service(reflection_v1()?)
            .add_service(reflection_v1alpha()?)
            .add_service(sized!(JobServiceServer::new(Jobs::new(engine.clone(), streams.clone()))))
            .add_service(sized!(IngestServiceServer::new(producers)))
            .add_service(QueueServiceServer::new(QueuesService::new(engine.clone())))
            .add_service(WorkerRegistryServiceServer::new(WorkerRegistry::new(engine.clone())))
            .add_service(sized!(KindServiceServer::new(KindsService::new(engine))))
            .add_service(KeyServiceServer::new(Keys::new(keyring.clone(), clock.clone())))
            .add_service(AuditServiceServer::new(AuditTrail::new(ledger)))
            .add_service(sized!(WorkerServiceServer::new(workers)));
        let is_secure = keep_secure(tls.as_ref(), config, &tasks);
        let incoming = Connections::new(listener, connections_max(), GREETING).with_tls(tls);
        let (incoming, stop) = (incoming.into_incoming(), stop_listening.clone().cancelled_owned());
        let serving = spawn_serving(async move {
            if let Err(error) = router.serve_with_incoming_shutdown(incoming, stop).await {
                tracing::error!(%error, "the listener failed");
            }
        });
        let gateway_address = front::open(front, address, &tasks, &stop_listening)?;
        tracing::info!(%address, %ops_address, gateway = gateway_address.map(tracing::field::display), tls = is_secure, "serving");
        Ok(Self {
            address,
            gateway_address,
            is_new,
            ops_address,
            tasks,
            streams,
            listener: stop_listening,
            ops_listener: stop_ops,
            serving,
            readiness,
            health,
            condition,
            keyring,
            clock,
        })
    }

    /// Drains: no new calls, GoAway to workers, an end to watches, the last writes. True
    /// when everything ended in time.
    pub async fn stop(self, patience: Duration) -> bool {
        self.readiness.send_replace(Readiness::NotReady("the server shuts down".into()));
        not_serving(&self.health).await;
        self.streams.cancel();
        self.listener.cancel();
        let abort = self.serving.abort_handle();
        // hyper waits for connections that never end by themselves; it does not get longer.
        let served = tokio::time::timeout(patience, self.serving).await.is_ok();
        if !served {
            tracing::warn!(?patience, "calls were cut at the end of the drain");
            abort.abort();
        }
        self.ops_listener.cancel();
        let closed = self.tasks.close(LAST_WRITES).await;
        if !closed {
            tracing::error!("some tasks did not end; the journal has what they had not written");
        }
        served && closed
    }
}

/// Follows the files of TLS, or warns where keys go without it. Whether there is some.
fn keep_secure(tls: Option<&Tls>, config: &Config, tasks: &Tasks) -> bool {
    if let Some(tls) = tls {
        tasks.spawn("tls", tls.clone().run(tasks.closing()));
    } else if config.credentials == Credentials::Required && !config.listen.ip().is_loopback() {
        tracing::warn!(
            "keys cross the network in the clear: set tls_cert and tls_key, unless a proxy in \
             front of this server ends TLS"
        );
    }
    tls.is_some()
}

/// The keys and the audit trail, with their loops.
async fn identity(
    config: &Config,
    ledger: &Ledger,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<(Keyring, Identify)> {
    let keyring = Keyring::open(ledger.clone(), clock.clone()).await?;
    let (trail, writer) = Trail::new(ledger.clone(), clock.clone());
    tasks.spawn("keys", keyring.clone().run(tasks.closing()));
    tasks.spawn("audit", writer.run(tasks.closing()));
    let is_open = config.credentials == Credentials::Off;
    if !is_open && keyring.usable() == 0 {
        tracing::warn!(
            "credentials are required and there is no key: nobody can call; make the first with \
             `sentinel key create --role admin` and --data-dir or --ledger-url"
        );
    }
    let identify = Identify::new(keyring.clone(), trail, is_open);
    Ok((keyring, identify))
}

async fn serving(health: &tonic_health::server::HealthReporter) {
    health.set_serving::<JobServiceServer<Jobs>>().await;
    health.set_serving::<IngestServiceServer<Producers>>().await;
    health.set_serving::<QueueServiceServer<QueuesService>>().await;
    health.set_serving::<KindServiceServer<KindsService>>().await;
    health.set_serving::<WorkerRegistryServiceServer<WorkerRegistry>>().await;
    health.set_serving::<WorkerServiceServer<Workers>>().await;
    health.set_serving::<KeyServiceServer<Keys>>().await;
    health.set_serving::<AuditServiceServer<AuditTrail>>().await;
}

async fn not_serving(health: &tonic_health::server::HealthReporter) {
    health.set_not_serving::<JobServiceServer<Jobs>>().await;
    health.set_not_serving::<IngestServiceServer<Producers>>().await;
    health.set_not_serving::<QueueServiceServer<QueuesService>>().await;
    health.set_not_serving::<KindServiceServer<KindsService>>().await;
    health.set_not_serving::<WorkerRegistryServiceServer<WorkerRegistry>>().await;
    health.set_not_serving::<WorkerServiceServer<Workers>>().await;
    health.set_not_serving::<KeyServiceServer<Keys>>().await;
    health.set_not_serving::<AuditServiceServer<AuditTrail>>().await;
}

fn spawn_ops(listener: TcpListener, routes: axum::Router, stop: CancellationToken, tasks: &Tasks) {
    tasks.spawn("ops", async move {
        if let Err(error) = ops::serve(listener, routes, stop).await {
            tracing::error!(%error, "the ops listener failed");
        }
    });
}

/// Serving ends after the tasks are asked to, so it is not one of them.
fn spawn_serving(
    serving: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(serving)
}

async fn bind(setting: &str, address: std::net::SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "{setting}: can not listen on {address}; is another server running? set another address"
        )
    })
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(sentinel_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that a client that knows only reflection can read the details of an error.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

fn reflection_v1() -> Result<
    tonic_reflection::server::v1::ServerReflectionServer<
        impl tonic_reflection::server::v1::ServerReflection,
    >,
> {
    Ok(reflection().build_v1()?)
}

fn reflection_v1alpha() -> Result<
    tonic_reflection::server::v1alpha::ServerReflectionServer<
        impl tonic_reflection::server::v1alpha::ServerReflection,
    >,
> {
    Ok(reflection().build_v1alpha()?)
}

async fn depths(engine: Engine, metrics: Metrics, closing: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(DEPTHS_EVERY) => {}
            () = closing.cancelled() => return,
        }
        let (sessions, slots) = engine.sessions();
        metrics.sessions(sessions, slots);
        if let Ok(depths) = engine.depths().await {
            metrics.depths(depths.iter().map(|d| (&*d.queue, state_name(d.state), d.count)));
        }
    }
}

const fn state_name(state: sentinel_domain::State) -> &'static str {
    use sentinel_domain::State;
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
