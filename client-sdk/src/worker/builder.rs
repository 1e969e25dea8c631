//! What a worker is told before it runs, checked before anything is dialled.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::execute::{Handler, erase};
use super::state::{Identity, Room};
use super::tuning::SessionTimings;
use super::{JobContext, Outcome, Worker};
use crate::proto::workers::v1::Kind;
use crate::{ConnectOptions, Error, endpoint};

const MAX_CONCURRENCY: u32 = 100_000;
const MAX_NAME_BYTES: usize = 128;
const MAX_QUEUES: usize = 100;
const MAX_KINDS: usize = 1000;
const MAX_DESCRIPTION_BYTES: usize = 1024;
const MAX_SCHEMA_BYTES: usize = 16 * 1024;
const MAX_LABELS: usize = 16;
const DEFAULT_CONCURRENCY: u32 = 64;
/// Every slot of a default worker with the largest payload that servers take by default.
const DEFAULT_PAYLOAD_BYTES: u64 = 64 << 20;
const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// A kind, what it says of itself, and what runs it.
struct Declared {
    handler: Handler,
    description: String,
    input_schema: String,
}

/// Collects what a [`Worker`] is.
pub struct WorkerBuilder {
    endpoints: Vec<String>,
    access: ConnectOptions,
    queues: Vec<String>,
    kinds: BTreeMap<String, Declared>,
    labels: BTreeMap<String, String>,
    instance: Option<String>,
    build: String,
    room: Room,
    drain_timeout: Duration,
    tuning: SessionTimings,
}

impl WorkerBuilder {
    pub(super) fn new(endpoint: String) -> Self {
        Self {
            endpoints: vec![endpoint],
            access: ConnectOptions::default(),
            queues: Vec::new(),
            kinds: BTreeMap::new(),
            labels: BTreeMap::new(),
            instance: None,
            build: String::new(),
            room: Room { slots: DEFAULT_CONCURRENCY, payload_bytes: DEFAULT_PAYLOAD_BYTES },
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            tuning: SessionTimings::default(),
        }
    }

    /// Another server of the same installation, tried when the one before fails.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// The key of this worker, of role WORKER, and whom it trusts to be a server.
    pub fn connect_options(mut self, access: ConnectOptions) -> Self {
        self.access = access;
        self
    }

    /// A queue to take jobs from. 1..100 of them.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        let queue = queue.into();
        if !self.queues.contains(&queue) {
            self.queues.push(queue);
        }
        self
    }

    /// The handler of a kind: an `async fn(JobContext)` that returns an [`Outcome`] or what turns
    /// into one. The last one registered for a kind counts. 1..1000 kinds.
    pub fn handler<H, A>(self, kind: impl Into<String>, handler: H) -> Self
    where
        H: Fn(JobContext) -> A + Send + Sync + 'static,
        A: Future + Send + 'static,
        A::Output: Into<Outcome>,
    {
        self.handler_with_description(kind, "", handler)
    }

    /// As [`WorkerBuilder::handler`], with a description for people, at most 1024 bytes.
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
        let declared = Declared { handler: erase(handler), description, input_schema };
        self.kinds.insert(kind.into(), declared);
        self
    }

    /// JSON Schema of the payload of a kind whose handler was registered before: one JSON object
    /// of at most 16 KiB. Without that handler it is dropped.
    pub fn input_schema(mut self, kind: &str, schema: impl Into<String>) -> Self {
        if let Some(declared) = self.kinds.get_mut(kind) {
            declared.input_schema = schema.into();
        }
        self
    }

    /// Jobs that run at the same time. Default 64, range 1..100,000.
    pub fn concurrency(mut self, jobs: u32) -> Self {
        self.room.slots = jobs;
        self
    }

    /// Payload bytes of the running jobs together, a soft bound: one job at most goes beyond.
    /// Default 64 MiB. 0: no bound.
    pub fn max_running_payload_bytes(mut self, bytes: u64) -> Self {
        self.room.payload_bytes = bytes;
        self
    }

    /// For jobs that require labels. At most 16.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Name of this process for people. 1..128 bytes. Default `<host>-<pid>`.
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// Version of the program. At most 128 bytes.
    pub fn build_version(mut self, version: impl Into<String>) -> Self {
        self.build = version.into();
        self
    }

    /// How long running jobs may go on after the shutdown was asked for. Default 30 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Timings of the session, for tests.
    #[doc(hidden)]
    pub fn timings(mut self, tuning: SessionTimings) -> Self {
        self.tuning = tuning;
        self
    }

    /// Checks all of it.
    ///
    /// # Errors
    /// [`Error::InvalidEndpoint`] and [`Error::InvalidArgument`], naming the field.
    pub fn build(self) -> Result<Worker, Error> {
        let endpoints = self.endpoints.iter().map(|text| endpoint::parse(text, &self.access));
        let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
        let instance = self.instance.unwrap_or_else(default_instance);
        in_range("instance", instance.len(), 1, MAX_NAME_BYTES, "bytes")?;
        in_range("build", self.build.len(), 0, MAX_NAME_BYTES, "bytes")?;
        in_range("queues", self.queues.len(), 1, MAX_QUEUES, "queues")?;
        in_range("kinds", self.kinds.len(), 1, MAX_KINDS, "handlers")?;
        in_range("labels", self.labels.len(), 0, MAX_LABELS, "labels")?;
        let most = MAX_CONCURRENCY as usize;
        in_range("concurrency", self.room.slots as usize, 1, most, "jobs")?;
        for name in self.queues.iter().chain(self.kinds.keys()) {
            check_name(name)?;
        }
        let mut kinds = Vec::with_capacity(self.kinds.len());
        let mut handlers = HashMap::with_capacity(self.kinds.len());
        for (name, Declared { handler, description, input_schema }) in self.kinds {
            in_range("description", description.len(), 0, MAX_DESCRIPTION_BYTES, "bytes")?;
            check_schema(&name, &input_schema)?;
            kinds.push(Kind { name: name.clone(), description, input_schema });
            handlers.insert(name, handler);
        }
        let identity = Identity {
            instance: instance.into(),
            build: self.build,
            queues: self.queues,
            kinds,
            labels: self.labels,
        };
        Ok(Worker {
            identity,
            endpoints,
            access: self.access,
            handlers,
            room: self.room,
            drain_timeout: self.drain_timeout,
            tuning: self.tuning,
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
    let host = super::outcome::cut(host, MAX_NAME_BYTES - 12);
    format!("{host}-{}", std::process::id())
}
