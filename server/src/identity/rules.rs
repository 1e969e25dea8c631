//! The one table of who may call what. A call of the contract without a row does not compile,
//! and neither does a row without a call. docs/security.md is rendered from it.

use sentinel_domain::Role;

/// How a call finds the queues it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It concerns none.
    Nothing,
    /// The handler asks the caller for each.
    Queues,
    /// All of the installation: keys that reach some queues only are refused.
    Installation,
}

/// Who needs a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nobody.
    Nothing,
    /// Everybody, on a server that asks for credentials.
    Key,
    /// Everybody, on every server.
    KeyAlways,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) service: &'static str,
    pub(crate) method: &'static str,
    pub(crate) need: Need,
    pub(crate) roles: &'static [Role],
    pub(crate) reach: Reach,
    pub(crate) mark: Mark,
}

/// What is special about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Plain,
    /// What people do by it is in the audit trail.
    Audited,
    /// Its answer is a stream, which ends with the key.
    Stream,
}

impl Rule {
    /// Whether the holder of a key of this role may call it.
    pub(crate) fn allows(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    pub(crate) fn is_audited(&self) -> bool {
        self.mark == Mark::Audited
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.mark == Mark::Stream
    }

    /// As it is written in logs and in the trail.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.service, self.method)
    }
}

use Role::{Admin, Operator, Producer, Viewer, Worker};

const EVERYBODY: &[Role] = &[Viewer, Operator, Admin, Producer, Worker];
const LOOKS: &[Role] = &[Viewer, Operator, Admin, Producer];
const ENQUEUES: &[Role] = &[Admin, Producer];
const CANCELS: &[Role] = &[Operator, Admin, Producer];
const OPERATES: &[Role] = &[Operator, Admin];
const RUNS: &[Role] = &[Worker, Admin];
const ADMINISTERS: &[Role] = &[Admin];

macro_rules! rules {
    (@mark) => { Mark::Plain };
    (@mark $mark:ident) => { Mark::$mark };
    ($($service:literal { $($method:ident: $need:ident, $roles:ident, $reach:ident $(, $mark:ident)?;)* })*) => {
        /// Every call.
        pub(crate) const RULES: &[Rule] = &[$($(Rule {
            service: $service,
            method: stringify!($method),
            need: Need::$need,
            roles: $roles,
            reach: Reach::$reach,
            mark: rules!(@mark $($mark)?),
        },)*)*];
    };
}

rules! {
    "sentinel.jobs.v1.JobService" {
        Enqueue: Key, ENQUEUES, Queues;
        EnqueueBatch: Key, ENQUEUES, Queues;
        Get: Key, LOOKS, Queues;
        BatchGet: Key, LOOKS, Queues;
        List: Key, LOOKS, Queues;
        Counts: Key, LOOKS, Queues;
        Watch: Key, LOOKS, Queues, Stream;
        Cancel: Key, CANCELS, Queues, Audited;
        Retry: Key, OPERATES, Queues, Audited;
        RunNow: Key, OPERATES, Queues, Audited;
        Update: Key, OPERATES, Queues, Audited;
        Delete: Key, OPERATES, Queues, Audited;
        Bulk: Key, OPERATES, Queues, Audited;
        ListAttempts: Key, LOOKS, Queues;
        ReadLogs: Key, LOOKS, Queues, Stream;
        ReadOutput: Key, LOOKS, Queues, Stream;
    }
    "sentinel.jobs.v1.IngestService" {
        Ingest: Key, ENQUEUES, Queues, Stream;
    }
    "sentinel.jobs.v1.KindService" {
        ListKinds: Key, LOOKS, Nothing;
        GetKind: Key, LOOKS, Nothing;
    }
    "sentinel.workers.v1.WorkerService" {
        Session: Key, RUNS, Queues, Stream;
    }
    "sentinel.admin.v1.QueueService" {
        CreateQueue: Key, OPERATES, Queues, Audited;
        GetQueue: Key, LOOKS, Queues;
        ListQueues: Key, LOOKS, Queues;
        UpdateQueue: Key, OPERATES, Queues, Audited;
        PauseQueue: Key, OPERATES, Queues, Audited;
        ResumeQueue: Key, OPERATES, Queues, Audited;
        DrainQueue: Key, OPERATES, Queues, Audited;
    }
    "sentinel.admin.v1.WorkerRegistryService" {
        ListWorkers: Key, LOOKS, Installation;
        DrainWorker: Key, OPERATES, Installation, Audited;
    }
    "sentinel.admin.v1.KeyService" {
        CreateKey: KeyAlways, ADMINISTERS, Installation, Audited;
        ListKeys: KeyAlways, ADMINISTERS, Installation;
        RevokeKey: KeyAlways, ADMINISTERS, Installation, Audited;
    }
    "sentinel.admin.v1.AuditService" {
        ListAuditEntries: KeyAlways, OPERATES, Installation;
    }
    "grpc.health.v1.Health" {
        Check: Nothing, EVERYBODY, Nothing;
        Watch: Nothing, EVERYBODY, Nothing, Stream;
    }
    "grpc.reflection.v1.ServerReflection" {
        ServerReflectionInfo: Key, EVERYBODY, Nothing, Stream;
    }
    "grpc.reflection.v1alpha.ServerReflection" {
        ServerReflectionInfo: Key, EVERYBODY, Nothing, Stream;
    }
}

/// The rule of a path, `/service/method`.
pub(super) fn rule_of(path: &str) -> Option<&'static Rule> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    // Some dozen comparisons of lengths, mostly.
    RULES.iter().find(|rule| rule.method == method && rule.service == service)
}

// Fails to compile when the contract and the table differ; what is missing is in the error.
const _: () = {
    let rows = contract::count_with_rows(sentinel_proto::FILE_DESCRIPTOR_SET, RULES);
    let mut own = 0;
    let mut at = 0;
    while at < RULES.len() {
        if contract::is_own(RULES[at].service.as_bytes()) {
            own += 1;
        }
        at += 1;
    }
    assert!(rows == own, "a row of the table of rules is of no call of the contract");
};

/// Reads the descriptors while the program is compiled.
mod contract {
    use super::Rule;

    // Fields of google/protobuf/descriptor.proto.
    const FILE: u64 = 1;
    const PACKAGE: u64 = 2;
    const SERVICE: u64 = 6;
    const NAME: u64 = 1;
    const METHOD: u64 = 2;

    pub(super) const fn is_own(service: &[u8]) -> bool {
        starts_with(service, b"sentinel.")
    }

    /// How many calls there are. Each has a row, or this panics with its name.
    pub(super) const fn count_with_rows(set: &[u8], rules: &[Rule]) -> usize {
        let mut count = 0;
        let mut rest = set;
        while let Some((file, after)) = next(rest, FILE) {
            rest = after;
            let package = match next(file, PACKAGE) {
                Some((package, _)) => package,
                None => b"",
            };
            let mut services = file;
            while let Some((service, after)) = next(services, SERVICE) {
                services = after;
                let Some((service_name, _)) = next(service, NAME) else { continue };
                let mut methods = service;
                while let Some((method, after)) = next(methods, METHOD) {
                    methods = after;
                    let Some((name, _)) = next(method, NAME) else { continue };
                    if !has_row(rules, package, service_name, name) {
                        match std::str::from_utf8(name) {
                            // "add a row to the table above for the call named here"
                            Ok(name) => panic!("{}", name),
                            Err(_) => panic!("the descriptors are damaged"),
                        }
                    }
                    count += 1;
                }
            }
        }
        count
    }

    const fn has_row(rules: &[Rule], package: &[u8], service: &[u8], method: &[u8]) -> bool {
        let mut at = 0;
        while at < rules.len() {
            let rule = &rules[at];
            let name = rule.service.as_bytes();
            if equal(rule.method.as_bytes(), method)
                && name.len() == package.len() + 1 + service.len()
                && starts_with(name, package)
                && equal(name.split_at(package.len() + 1).1, service)
            {
                return true;
            }
            at += 1;
        }
        false
    }

    const fn starts_with(text: &[u8], start: &[u8]) -> bool {
        text.len() >= start.len() && equal(text.split_at(start.len()).0, start)
    }

    const fn equal(a: &[u8], b: &[u8]) -> bool {
        if a.len() != b.len() {
            return false;
        }
        let mut at = 0;
        while at < a.len() {
            if a[at] != b[at] {
                return false;
            }
            at += 1;
        }
        true
    }

    /// The next value of a length-delimited field, and what follows it.
    const fn next(mut rest: &[u8], wanted: u64) -> Option<(&[u8], &[u8])> {
        while !rest.is_empty() {
            let (tag, after) = varint(rest);
            let (value, after) = match tag & 7 {
                0 => (after, varint(after).1),
                1 => (after, after.split_at(8).1),
                2 => {
                    let (length, after) = varint(after);
                    after.split_at(length as usize)
                }
                5 => (after, after.split_at(4).1),
                _ => panic!("the descriptors are damaged"),
            };
            if tag >> 3 == wanted && tag & 7 == 2 {
                return Some((value, after));
            }
            rest = after;
        }
        None
    }

    const fn varint(bytes: &[u8]) -> (u64, &[u8]) {
        let (mut value, mut shift, mut rest) = (0, 0, bytes);
        while let Some((byte, after)) = rest.split_first() {
            value |= ((*byte & 0x7f) as u64) << shift;
            rest = after;
            if *byte < 0x80 {
                return (value, rest);
            }
            shift += 7;
        }
        panic!("the descriptors are damaged")
    }
}

/// The table of roles, for docs/security.md.
pub fn to_markdown() -> String {
    let mut out = String::from("| call |");
    for role in Role::ALL {
        out.push_str(&format!(" {role} |"));
    }
    out.push_str(" queues | audited |\n|---|");
    out.push_str(&"---|".repeat(Role::ALL.len() + 2));
    out.push('\n');
    for rule in RULES {
        if rule.need == Need::Nothing {
            continue;
        }
        out.push_str(&format!("| `{}` |", rule.name()));
        for role in Role::ALL {
            out.push_str(if rule.allows(role) { " yes |" } else { " |" });
        }
        let reach = match rule.reach {
            Reach::Nothing => "-",
            Reach::Queues => "those of the key",
            Reach::Installation => "only keys of all queues",
        };
        let audited = if rule.is_audited() { "yes" } else { "" };
        out.push_str(&format!(" {reach} | {audited} |\n"));
    }
    out
}
