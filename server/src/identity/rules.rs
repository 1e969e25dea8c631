//! The access rules: which roles may call which RPC. An RPC of the API without a rule does not
//! compile, nor does a rule without an RPC. The table in docs/security.md is generated from this.

use sentinel_domain::Role;

/// The queues that an RPC accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueAccess {
    /// None.
    None,
    /// Queues that the request names. The handler checks that the key reaches them.
    OfKey,
    /// All queues. Keys that only reach some queues are rejected.
    All,
}

/// When an RPC needs an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyRequirement {
    Never,
    /// With `credentials = required`.
    IfEnabled,
    Always,
}

/// The access rule of one RPC.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) service: &'static str,
    pub(crate) method: &'static str,
    pub(crate) key_requirement: KeyRequirement,
    pub(crate) roles: &'static [Role],
    pub(crate) queues: QueueAccess,
    pub(crate) handling: Handling,
}

/// How the layer handles an RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handling {
    Plain,
    /// Calls by people are recorded in the audit log.
    Audited,
    /// The response is a stream that closes when the key ends.
    Stream,
}

impl Rule {
    /// Returns whether a key of this role may make the call.
    pub(crate) fn allows(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    pub(crate) fn is_audited(&self) -> bool {
        self.handling == Handling::Audited
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.handling == Handling::Stream
    }

    /// Returns the name in logs and in the audit log: `service/method`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.service, self.method)
    }
}

use Role::{Admin, Operator, Producer, Viewer, Worker};

const ALL_ROLES: &[Role] = &[Viewer, Operator, Admin, Producer, Worker];
const READERS: &[Role] = &[Viewer, Operator, Admin, Producer];
const ENQUEUERS: &[Role] = &[Admin, Producer];
const CANCELLERS: &[Role] = &[Operator, Admin, Producer];
const OPERATORS: &[Role] = &[Operator, Admin];
const WORKERS: &[Role] = &[Worker, Admin];
const ADMINS: &[Role] = &[Admin];

macro_rules! rules {
    (@handling) => { Handling::Plain };
    (@handling $handling:ident) => { Handling::$handling };
    ($($service:literal {
        $($method:ident: $key:ident, $roles:ident, $queues:ident $(, $handling:ident)?;)*
    })*) => {
        /// The rules of all RPCs.
        pub(crate) const RULES: &[Rule] = &[$($(Rule {
            service: $service,
            method: stringify!($method),
            key_requirement: KeyRequirement::$key,
            roles: $roles,
            queues: QueueAccess::$queues,
            handling: rules!(@handling $($handling)?),
        },)*)*];
    };
}

rules! {
    "sentinel.jobs.v1.JobService" {
        Enqueue: IfEnabled, ENQUEUERS, OfKey;
        EnqueueBatch: IfEnabled, ENQUEUERS, OfKey;
        Get: IfEnabled, READERS, OfKey;
        BatchGet: IfEnabled, READERS, OfKey;
        List: IfEnabled, READERS, OfKey;
        Counts: IfEnabled, READERS, OfKey;
        Watch: IfEnabled, READERS, OfKey, Stream;
        Cancel: IfEnabled, CANCELLERS, OfKey, Audited;
        Retry: IfEnabled, OPERATORS, OfKey, Audited;
        RunNow: IfEnabled, OPERATORS, OfKey, Audited;
        Update: IfEnabled, OPERATORS, OfKey, Audited;
        Delete: IfEnabled, OPERATORS, OfKey, Audited;
        Bulk: IfEnabled, OPERATORS, OfKey, Audited;
        ListAttempts: IfEnabled, READERS, OfKey;
        ReadLogs: IfEnabled, READERS, OfKey, Stream;
        ReadOutput: IfEnabled, READERS, OfKey, Stream;
    }
    "sentinel.jobs.v1.IngestService" {
        Ingest: IfEnabled, ENQUEUERS, OfKey, Stream;
    }
    "sentinel.jobs.v1.KindService" {
        ListKinds: IfEnabled, READERS, None;
        GetKind: IfEnabled, READERS, None;
    }
    "sentinel.workers.v1.WorkerService" {
        Session: IfEnabled, WORKERS, OfKey, Stream;
    }
    "sentinel.admin.v1.QueueService" {
        CreateQueue: IfEnabled, OPERATORS, OfKey, Audited;
        GetQueue: IfEnabled, READERS, OfKey;
        ListQueues: IfEnabled, READERS, OfKey;
        UpdateQueue: IfEnabled, OPERATORS, OfKey, Audited;
        PauseQueue: IfEnabled, OPERATORS, OfKey, Audited;
        ResumeQueue: IfEnabled, OPERATORS, OfKey, Audited;
        DrainQueue: IfEnabled, OPERATORS, OfKey, Audited;
    }
    "sentinel.admin.v1.WorkerRegistryService" {
        ListWorkers: IfEnabled, READERS, All;
        DrainWorker: IfEnabled, OPERATORS, All, Audited;
    }
    "sentinel.admin.v1.KeyService" {
        CreateKey: Always, ADMINS, All, Audited;
        ListKeys: Always, ADMINS, All;
        RevokeKey: Always, ADMINS, All, Audited;
    }
    "sentinel.admin.v1.AuditService" {
        ListAuditEntries: Always, OPERATORS, All;
    }
    "grpc.health.v1.Health" {
        Check: Never, ALL_ROLES, None;
        Watch: Never, ALL_ROLES, None, Stream;
    }
    "grpc.reflection.v1.ServerReflection" {
        ServerReflectionInfo: IfEnabled, ALL_ROLES, None, Stream;
    }
    "grpc.reflection.v1alpha.ServerReflection" {
        ServerReflectionInfo: IfEnabled, ALL_ROLES, None, Stream;
    }
}

/// Returns the rule of a path of the form `/service/method`.
pub(super) fn rule_of(path: &str) -> Option<&'static Rule> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    // There are few rules, and most differ in the length of the name.
    RULES.iter().find(|rule| rule.method == method && rule.service == service)
}

// Compilation fails if the RPCs in the descriptors and the rules differ. The error names the RPC
// that has no rule.
const _: () = {
    let rpcs = descriptors::count_rpcs(sentinel_proto::FILE_DESCRIPTOR_SET, RULES);
    let mut rules = 0;
    let mut at = 0;
    while at < RULES.len() {
        if descriptors::is_sentinel_service(RULES[at].service.as_bytes()) {
            rules += 1;
        }
        at += 1;
    }
    assert!(rpcs == rules, "a rule names an RPC that does not exist");
};

/// Parses the protobuf descriptors at compile time.
mod descriptors {
    use super::Rule;

    // Field numbers of google/protobuf/descriptor.proto.
    const FILE: u64 = 1;
    const PACKAGE: u64 = 2;
    const SERVICE: u64 = 6;
    const NAME: u64 = 1;
    const METHOD: u64 = 2;

    pub(super) const fn is_sentinel_service(service: &[u8]) -> bool {
        starts_with(service, b"sentinel.")
    }

    /// Returns the number of RPCs. Panics with the name of an RPC that has no rule.
    pub(super) const fn count_rpcs(set: &[u8], rules: &[Rule]) -> usize {
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
                    if !has_rule(rules, package, service_name, name) {
                        match std::str::from_utf8(name) {
                            // A panic at compile time can only show one string: the RPC.
                            Ok(name) => panic!("{}", name),
                            Err(_) => panic!("the descriptors are malformed"),
                        }
                    }
                    count += 1;
                }
            }
        }
        count
    }

    const fn has_rule(rules: &[Rule], package: &[u8], service: &[u8], method: &[u8]) -> bool {
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

    /// Returns the next value of a length-delimited field and the bytes after it.
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
                _ => panic!("the descriptors are malformed"),
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
        panic!("the descriptors are malformed")
    }
}

/// Renders the table of roles in docs/security.md.
pub fn to_markdown() -> String {
    let mut out = String::from("| RPC |");
    for role in Role::ALL {
        out.push_str(&format!(" {role} |"));
    }
    out.push_str(" queues | audited |\n|---|");
    out.push_str(&"---|".repeat(Role::ALL.len() + 2));
    out.push('\n');
    for rule in RULES {
        if rule.key_requirement == KeyRequirement::Never {
            continue;
        }
        out.push_str(&format!("| `{}` |", rule.name()));
        for role in Role::ALL {
            out.push_str(if rule.allows(role) { " yes |" } else { " |" });
        }
        let queues = match rule.queues {
            QueueAccess::None => "-",
            QueueAccess::OfKey => "the key's queues",
            QueueAccess::All => "needs a key for all queues",
        };
        let audited = if rule.is_audited() { "yes" } else { "" };
        out.push_str(&format!(" {queues} | {audited} |\n"));
    }
    out
}
