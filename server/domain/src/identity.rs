//! API keys: their roles, scopes and audit entries. The server decides which RPCs a role may call.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits::{KEY_QUEUES, NAME_BYTES};
use crate::{FieldViolation, Millis, Name, check_name};

/// The role of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Viewer,
    Operator,
    Admin,
    Producer,
    Worker,
}

impl Role {
    /// All roles, in the order of the documentation.
    pub const ALL: [Role; 5] =
        [Role::Viewer, Role::Operator, Role::Producer, Role::Worker, Role::Admin];

    /// Returns the name of the role.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
            Role::Producer => "producer",
            Role::Worker => "worker",
        }
    }

    /// Returns whether changes by this role are in the audit log. It has those of people and their
    /// tools, not those of services and workers.
    pub const fn is_audited(self) -> bool {
        matches!(self, Role::Viewer | Role::Operator | Role::Admin)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error of a string that is not a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a role: use viewer, operator, producer, worker or admin")]
pub struct ParseRoleError(String);

impl FromStr for Role {
    type Err = ParseRoleError;

    fn from_str(text: &str) -> Result<Self, ParseRoleError> {
        let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| ParseRoleError(text.to_owned()))
    }
}

/// The queues that a key may access: names, or prefixes that end in `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Option<Arc<[Name]>>);

impl Scopes {
    /// Access to every queue.
    pub const ALL: Scopes = Scopes(None);

    /// Returns the scopes with these patterns. Without patterns, every queue is in scope.
    pub fn new(patterns: impl IntoIterator<Item = Name>) -> Self {
        let patterns: Arc<[Name]> = patterns.into_iter().collect();
        Self((!patterns.is_empty()).then_some(patterns))
    }

    /// Returns whether every queue is in scope, including future ones.
    pub const fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Returns whether a queue is in scope.
    pub fn contains(&self, queue: &str) -> bool {
        self.0
            .as_ref()
            .is_none_or(|patterns| patterns.iter().any(|one| pattern_matches(one, queue)))
    }

    /// Returns the patterns. Empty if every queue is in scope.
    pub fn patterns(&self) -> &[Name] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Returns all violations. `path` is the field of the request that contains the scopes.
    pub fn violations(&self, path: &str) -> Vec<FieldViolation> {
        let mut found = Vec::new();
        let patterns = self.patterns();
        if patterns.len() as u64 > KEY_QUEUES {
            let text = format!("{} is too many: at most {KEY_QUEUES}", patterns.len());
            found.push(FieldViolation::new(path, text));
        }
        for pattern in patterns {
            // A lone `*` is refused: an empty list already means every queue.
            let name = pattern.strip_suffix('*').unwrap_or(pattern);
            check_name(&mut found, path, name);
        }
        found
    }
}

fn pattern_matches(pattern: &str, queue: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => queue.starts_with(prefix),
        None => pattern == queue,
    }
}

/// The public id of an API key. It identifies the key and grants no access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u64);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The error of a string that is not 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key id: it must have 16 lowercase hexadecimal digits")]
pub struct ParseKeyIdError;

impl FromStr for KeyId {
    type Err = ParseKeyIdError;

    fn from_str(text: &str) -> Result<Self, ParseKeyIdError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(is_digit) {
            return Err(ParseKeyIdError);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| ParseKeyIdError)
    }
}

/// A stored API key.
///
/// Only the SHA-256 of the secret is stored. A slow hash would protect a secret chosen by a person.
/// This secret has 256 random bits, and it is checked on every call.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: KeyId,
    pub secret_hash: [u8; 32],
    pub name: Name,
    pub role: Role,
    pub scopes: Scopes,
    pub created_at: Millis,
    pub created_by: String,
    pub expires_at: Option<Millis>,
    pub revoked_at: Option<Millis>,
    /// Approximate: it is written once a minute.
    pub last_used_at: Option<Millis>,
}

/// Omits the hash, in case a key is logged by mistake.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, role, scopes, expires_at, revoked_at, .. } = self;
        f.debug_struct("ApiKey")
            .field("id", &id.to_string())
            .field("name", name)
            .field("role", role)
            .field("queues", &scopes.patterns())
            .field("expires_at", expires_at)
            .field("revoked_at", revoked_at)
            .finish_non_exhaustive()
    }
}

impl ApiKey {
    /// Returns all violations of a new key.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut found = Vec::new();
        check_name(&mut found, "name", &self.name);
        found.extend(self.scopes.violations("queues"));
        if self.expires_at.is_some_and(|at| at <= self.created_at) {
            found.push(FieldViolation::new("expires_at", "is in the past"));
        }
        found
    }

    /// Returns why the key is rejected at `now`, or `None` if it is valid.
    pub fn rejection_at(&self, now: Millis) -> Option<KeyRejection> {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => Some(KeyRejection::Revoked),
            (None, Some(at)) if at <= now => Some(KeyRejection::Expired),
            _ => None,
        }
    }
}

/// Why an API key is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRejection {
    Revoked,
    Expired,
}

/// An entry of the audit log: an action or an attempted action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// A unique id that rises with time. It has the format of a job id.
    pub id: crate::JobId,
    pub actor: String,
    pub key: Option<KeyId>,
    pub action: String,
    pub target: String,
    pub peer: String,
    pub request_id: String,
    /// `OK`, or the reason code of the error.
    pub outcome: String,
}

/// Returns the actor of a command: the name of the key, and after a colon the claimed user.
pub fn actor(name: &str, claimed: &str) -> String {
    if claimed.is_empty() || claimed == name {
        return name.to_owned();
    }
    let max = crate::limits::KEY_BYTES as usize - name.len().min(NAME_BYTES as usize) - 1;
    format!("{name}:{}", &claimed[..claimed.floor_char_boundary(max)])
}

#[cfg(test)]
mod tests;
