//! The builder of a worker. It validates all settings before the worker connects.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::events::{EventHooks, WorkerEvent};
use super::executor::{Handler, boxed_handler};
use super::state::{Capacity, WorkerInfo};
use super::timings::SessionTimings;
use super::{JobContext, Outcome, Worker};
use crate::proto::workers::v1::Kind;
use crate::{ConnectOptions, Error};

const MAX_CONCURRENCY: u32 = 100_000;
const MAX_NAME_BYTES: usize = 128;
const MAX_QUEUES: usize = 100;
const MAX_KINDS: usize = 1000;
const MAX_DESCRIPTION_BYTES: usize = 1024;
const MAX_SCHEMA_BYTES: usize = 16 * 1024;
const MAX_LABELS: usize = 16;
const DEFAULT_CONCURRENCY: u32 = 64;
/// The default concurrency times the default payload limit of servers.
const DEFAULT_MAX_PAYLOAD_BYTES: u64 = 64 << 20;
const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// A handler with the declaration of its kind.
struct KindRegistration {
    handler: Handler,
    description: String,
    input_schema: String,
}

/// The builder of a [`Worker`].
pub struct WorkerBuilder {
    endpoints: Vec<String>,
    connect_options: ConnectOptions,
    queues: Vec<String>,
    kinds: BTreeMap<String, KindRegistration>,
    labels: BTreeMap<String, String>,
    instance: Option<String>,
    build: String,
    events: EventHooks,
    capacity: Capacity,
    drain_timeout: Duration,
    timings: SessionTimings,
}

impl WorkerBuilder {
    pub(super) fn new(endpoint: String) -> Self {
        Self {
            endpoints: vec![endpoint],
            connect_options: ConnectOptions::default(),
            queues: Vec::new(),
            kinds: BTreeMap::new(),
            labels: BTreeMap::new(),
            instance: None,
            build: String::new(),
            events: EventHooks::default(),
            capacity: Capacity {
                slots: DEFAULT_CONCURRENCY,
                payload_bytes: DEFAULT_MAX_PAYLOAD_BYTES,
            },
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            timings: SessionTimings::default(),
        }
    }

    /// Adds another server of the same cluster, used when the previous one is not reachable.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// Sets the API key, which needs the role WORKER, and the TLS settings.
    pub fn connect_options(mut self, options: ConnectOptions) -> Self {
        self.connect_options = options;
        self
    }

    /// Adds a queue to take jobs from. 1..100 queues.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        let queue = queue.into();
        if !self.queues.contains(&queue) {
            self.queues.push(queue);
        }
        self
    }

    /// Registers the handler of a kind: an `async fn(JobContext)` that returns an [`Outcome`] or a
    /// type that converts into one. Replaces an earlier handler of the kind. 1..1000 kinds.
    pub fn handler<H, A>(self, kind: impl Into<String>, handler: H) -> Self
    where
        H: Fn(JobContext) -> A + Send + Sync + 'static,
        A: Future + Send + 'static,
        A::Output: Into<Outcome>,
    {
        self.handler_with_description(kind, "", handler)
    }

    /// As [`WorkerBuilder::handler`], with a description of the kind, at most 1024 bytes.
    pub fn handler_with_description<H, A>(
        mut self,
        kind: impl Into<String>,
        description: impl Into<String>,
        handler: H,
    ) -> Self
    where
        H: Fn(JobContext) -> A + Send + Sync + 'static,
        A: Future + Send + 'static,
        A::Output: Into<Outcome>,
    {
        let (description, input_schema) = (description.into(), String::new());
        let registration =
            KindRegistration { handler: boxed_handler(handler), description, input_schema };
        self.kinds.insert(kind.into(), registration);
        self
    }

    /// Declares the JSON Schema of a kind's payload: a JSON object of at most 16 KiB. The handler
    /// must be registered before; otherwise the schema is ignored.
    pub fn input_schema(mut self, kind: &str, schema: impl Into<String>) -> Self {
        if let Some(registration) = self.kinds.get_mut(kind) {
            registration.input_schema = schema.into();
        }
        self
    }

    /// Limits how many jobs run at the same time. Default 64, range 1..100,000.
    pub fn concurrency(mut self, jobs: u32) -> Self {
        self.capacity.slots = jobs;
        self
    }

    /// Limits the total payload bytes of running jobs. A soft limit: the last job may exceed it.
    /// Default 64 MiB; 0 means unlimited.
    pub fn max_running_payload_bytes(mut self, bytes: u64) -> Self {
        self.capacity.payload_bytes = bytes;
        self
    }

    /// Adds a label of this worker. At most 16.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Sets the name of this process. 1..128 bytes. Default `<host>-<pid>`.
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// Sets the version of the program. At most 128 bytes.
    pub fn build_version(mut self, version: impl Into<String>) -> Self {
        self.build = version.into();
        self
    }

    /// Sets how long running jobs may continue after a shutdown was requested. Default 30 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Adds a hook for events of this worker, for metrics and error reports. It is called on the
    /// threads of handlers and of the session and must not block: a hook that waits delays
    /// heartbeats. A panic in it is ignored.
    pub fn on_event(mut self, hook: impl Fn(&WorkerEvent<'_>) + Send + Sync + 'static) -> Self {
        self.events.add(hook);
        self
    }

    /// Sets the timings of the session, for tests.
    #[doc(hidden)]
    pub fn timings(mut self, timings: SessionTimings) -> Self {
        self.timings = timings;
        self
    }

    /// Validates the settings and builds the worker.
    ///
    /// # Errors
    /// [`Error::InvalidEndpoint`] or [`Error::InvalidArgument`], which names the field.
    pub fn build(self) -> Result<Worker, Error> {
        let endpoints = self.endpoints.iter().map(|text| self.connect_options.endpoint(text));
        let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
        let instance = self.instance.unwrap_or_else(default_instance);
        in_range("instance", instance.len(), 1, MAX_NAME_BYTES, "bytes")?;
        in_range("build_version", self.build.len(), 0, MAX_NAME_BYTES, "bytes")?;
        in_range("queues", self.queues.len(), 1, MAX_QUEUES, "queues")?;
        in_range("kinds", self.kinds.len(), 1, MAX_KINDS, "handlers")?;
        in_range("labels", self.labels.len(), 0, MAX_LABELS, "labels")?;
        in_range("concurrency", self.capacity.slots as usize, 1, MAX_CONCURRENCY as usize, "jobs")?;
        for name in self.queues.iter().chain(self.kinds.keys()) {
            check_name(name)?;
        }
        let mut kinds = Vec::with_capacity(self.kinds.len());
        let mut handlers = HashMap::with_capacity(self.kinds.len());
        for (name, KindRegistration { handler, description, input_schema }) in self.kinds {
            in_range("description", description.len(), 0, MAX_DESCRIPTION_BYTES, "bytes")?;
            check_schema(&name, &input_schema)?;
            kinds.push(Kind { name: name.clone(), description, input_schema });
            handlers.insert(name, handler);
        }
        let info = WorkerInfo {
            instance: instance.into(),
            build: self.build,
            queues: self.queues,
            kinds,
            labels: self.labels,
        };
        Ok(Worker {
            info,
            endpoints,
            connect_options: self.connect_options,
            handlers,
            events: self.events,
            capacity: self.capacity,
            drain_timeout: self.drain_timeout,
            timings: self.timings,
        })
    }
}

fn in_range(
    field: &'static str,
    value: usize,
    min: usize,
    max: usize,
    unit: &str,
) -> Result<(), Error> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let reason = format!("{value} {unit}; allowed are {min}..{max}");
    Err(Error::InvalidArgument { field, reason })
}

fn check_name(name: &str) -> Result<(), Error> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(());
    }
    let reason = format!("{name:?}; allowed are 1..{MAX_NAME_BYTES} characters of [A-Za-z0-9._-]");
    Err(Error::InvalidArgument { field: "queue or kind", reason })
}

fn check_schema(kind: &str, schema: &str) -> Result<(), Error> {
    in_range("input_schema", schema.len(), 0, MAX_SCHEMA_BYTES, "bytes")?;
    let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(schema);
    match object {
        Err(error) if !schema.is_empty() => {
            let reason = format!("of kind {kind}: expected a JSON object: {error}");
            Err(Error::InvalidArgument { field: "input_schema", reason })
        }
        _ => Ok(()),
    }
}

fn default_instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|host| host.trim().to_owned())
        .filter(|host| !host.is_empty())
        .unwrap_or_else(|| "worker".to_owned());
    let host = super::text::truncate(host, MAX_NAME_BYTES - 12);
    format!("{host}-{}", std::process::id())
}
