//! Names of keys. The scripts make the others from the name of `meta`.

use sentinel_domain::SessionId;
use sentinel_store::ServerId;

/// All keys of one shard. They share a hash tag, so that one script may touch them all.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    /// Of an key_prefix and the number of a shard.
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

    /// Unique keys.
    pub(crate) fn held(&self) -> String {
        self.key("keys")
    }

    pub(crate) fn sessions(&self) -> String {
        self.key("sessions")
    }

    /// What workers say of themselves, by session.
    pub(crate) fn cards(&self) -> String {
        self.key("cards")
    }

    /// Sessions that get no more jobs.
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

    /// Kinds with waiting jobs of a queue.
    pub(crate) fn classes_of(&self, queue: &str) -> String {
        self.key(&format!("classes:{queue}"))
    }

    /// The ready jobs of a queue, a kind and a priority.
    pub(crate) fn lane(&self, queue: &str, kind: &str, priority: u16) -> String {
        self.key(&format!("ready:{priority}:{queue}\0{kind}"))
    }

    /// Written so that replicas can be asked for something.
    pub(crate) fn beat(&self) -> String {
        self.key("beat")
    }

    /// What the names of all keys begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The last replies, by writer.
    pub(crate) fn writers(&self) -> String {
        self.key("writers")
    }

    /// The channel on which positions are told.
    pub(crate) fn head(&self) -> String {
        self.key("head")
    }

    /// What concerns one server: the channel, and the key that counts its messages.
    pub(crate) fn to(&self, server: ServerId) -> String {
        self.key(&format!("to:{:016x}", server.0))
    }
}
