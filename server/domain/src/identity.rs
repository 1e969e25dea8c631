//! Who asks: roles, the queues that a key reaches, and the key as it is kept. What a role may
//! call is decided at the edge, where the calls are; nothing here knows them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits::{KEY_QUEUES, NAME_BYTES};
use crate::{Millis, Name, FieldViolation, check_name};

/// What the holder of a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Viewer,
    Operator,
    Admin,
    Producer,
    Worker,
}

impl Role {
    /// In the order of the documents.
    pub const ALL: [Role; 5] =
        [Role::Viewer, Role::Operator, Role::Producer, Role::Worker, Role::Admin];

    /// As people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
            Role::Producer => "producer",
            Role::Worker => "worker",
        }
    }

    /// People and what acts for them, as opposed to services and workers: what these change is
    /// in the audit trail.
    pub const fn is_audited(self) -> bool {
        matches!(self, Role::Viewer | Role::Operator | Role::Admin)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role: viewer, operator, producer, worker or admin")]
pub struct ParseRoleError(String);

impl FromStr for Role {
    type Err = ParseRoleError;

    fn from_str(text: &str) -> Result<Self, ParseRoleError> {
        let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| ParseRoleError(text.to_owned()))
    }
}

/// The queues that a key reaches: names, or prefixes that end in a star.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Option<Arc<[Name]>>);

impl Scopes {
    /// Every queue.
    pub const ALL: Scopes = Scopes(None);

    /// Of these; none means all.
    pub fn new(patterns: impl IntoIterator<Item = Name>) -> Self {
        let patterns: Arc<[Name]> = patterns.into_iter().collect();
        Self((!patterns.is_empty()).then_some(patterns))
    }

    /// Reaches every queue, those that do not exist yet included.
    pub const fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a queue is within.
    pub fn contains(&self, queue: &str) -> bool {
        self.0.as_ref().is_none_or(|patterns| patterns.iter().any(|one| covers(one, queue)))
    }

    /// As they were given; none for all.
    pub fn patterns(&self) -> &[Name] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Everything wrong with them, as the field `path`.
    pub fn violations(&self, path: &str) -> Vec<FieldViolation> {
        let mut found = Vec::new();
        let patterns = self.patterns();
        if patterns.len() as u64 > KEY_QUEUES {
            let text = format!("{} is too many: at most {KEY_QUEUES}", patterns.len());
            found.push(FieldViolation::new(path, text));
        }
        for pattern in patterns {
            // A lone star would be a second way to say all.
            let name = pattern.strip_suffix('*').unwrap_or(pattern);
            check_name(&mut found, path, name);
        }
        found
    }
}

fn covers(pattern: &str, queue: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => queue.starts_with(prefix),
        None => pattern == queue,
    }
}

/// The public half of a key's text: finds the key, opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u64);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A text that is not 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a key: 16 hexadecimal digits")]
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

/// A key as it is kept.
///
/// Of the secret there is only its SHA-256. A slow hash makes guessing costly where people
/// choose what is guessed; this secret is 256 random bits, which nobody guesses at any speed,
/// and it is checked with every call.
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
    /// About: it is written once a minute.
    pub last_used_at: Option<Millis>,
}

/// Without the hash: keys are shown in logs by mistake sooner or later.
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
    /// Everything wrong with a key that is to be made.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut found = Vec::new();
        check_name(&mut found, "name", &self.name);
        found.extend(self.scopes.violations("queues"));
        if self.expires_at.is_some_and(|at| at <= self.created_at) {
            found.push(FieldViolation::new("expires_at", "lies in the past"));
        }
        found
    }

    /// Whether it is over at `now`, by itself or by somebody.
    pub fn rejection_at(&self, now: Millis) -> Option<KeyRejection> {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => Some(KeyRejection::Revoked),
            (None, Some(at)) if at <= now => Some(KeyRejection::Expired),
            _ => None,
        }
    }
}

/// Why a key is not taken any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRejection {
    Revoked,
    Expired,
}

/// One thing that a person did or tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Rises with time, unique: an id as jobs have it.
    pub id: crate::JobId,
    pub actor: String,
    pub key: Option<KeyId>,
    pub action: String,
    pub target: String,
    pub peer: String,
    pub request_id: String,
    /// `OK`, or the reason of the error.
    pub outcome: String,
}

/// The actor of a command: the key's name, and after a colon whom the caller says it acts for.
pub fn actor(name: &str, claimed: &str) -> String {
    if claimed.is_empty() || claimed == name {
        return name.to_owned();
    }
    let max = crate::limits::KEY_BYTES as usize - name.len().min(NAME_BYTES as usize) - 1;
    format!("{name}:{}", &claimed[..claimed.floor_char_boundary(max)])
}

#[cfg(test)]
mod tests;
