//! Key names. Scripts derive the other names from that of `meta`.

use sentinel_domain::SessionId;
use sentinel_store::ServerId;

/// The keys of one shard. They share a hash tag, so that one script can access all of them.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    /// Returns the keys of a shard.
    pub(crate) fn new(key_prefix: &str, shard: u16) -> Self {
        Self { prefix: format!("{key_prefix}:{{s{shard}}}:") }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(crate) fn meta(&self) -> String {
        self.key("meta")
    }

    pub(crate) fn status(&self) -> String {
        self.key("status")
    }

    pub(crate) fn spec(&self) -> String {
        self.key("spec")
    }

    pub(crate) fn journal(&self) -> String {
        self.key("journal")
    }

    pub(crate) fn queues(&self) -> String {
        self.key("queues")
    }

    /// The unique keys and their holders.
    pub(crate) fn unique_keys(&self) -> String {
        self.key("keys")
    }

    pub(crate) fn sessions(&self) -> String {
        self.key("sessions")
    }

    /// The worker infos, by session.
    pub(crate) fn worker_infos(&self) -> String {
        self.key("cards")
    }

    /// The sessions that get no more jobs.
    pub(crate) fn drained(&self) -> String {
        self.key("drained")
    }

    /// The RUNNING jobs of a session.
    pub(crate) fn running_of(&self, session: SessionId) -> Vec<u8> {
        let mut key = self.key("running:").into_bytes();
        key.extend(session.as_u128().to_be_bytes());
        key
    }

    pub(crate) fn depths(&self) -> String {
        self.key("depths")
    }

    /// The classes of a queue: its kinds that have waiting jobs.
    pub(crate) fn classes_of(&self, queue: &str) -> String {
        self.key(&format!("classes:{queue}"))
    }

    /// The ready jobs of a queue, kind and priority.
    pub(crate) fn ready_set(&self, queue: &str, kind: &str, priority: u16) -> String {
        self.key(&format!("ready:{priority}:{queue}\0{kind}"))
    }

    /// A key that is written so that WAIT has a write to wait for.
    pub(crate) fn replication_marker(&self) -> String {
        self.key("beat")
    }

    /// Returns the prefix of all key names.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The last reply of each writer.
    pub(crate) fn writers(&self) -> String {
        self.key("writers")
    }

    /// The channel for positions and broadcasts.
    pub(crate) fn head(&self) -> String {
        self.key("head")
    }

    /// The channel for messages to one server, and the key that counts them.
    pub(crate) fn direct_channel(&self, server: ServerId) -> String {
        self.key(&format!("to:{:016x}", server.0))
    }
}
