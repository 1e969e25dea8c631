//! Who may call what: every call of the contract with every role, with keys that are over,
//! forged or of other queues, over the wire of a real server.

mod audit;
mod call;
mod languages;
mod queues;
mod roles;
mod streams;

use std::path::Path;

use sentinel_client::proto::admin::v1::{CreateKeyRequest, Role};
use sentinel_client::{Access, Client};

use crate::harness::{World, sentinel};

/// A server that asks for keys, with the first key of an administrator.
pub(crate) struct Guarded {
    pub(crate) world: World,
    pub(crate) root: String,
}

impl Guarded {
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // Before the first start: nobody can call a server that knows no key.
        let root =
            offline_key(&dir.path().join("data"), &["--name", "root", "--role", "admin"]).await;
        let flags = [&["--auto-create-queues", "--credentials", "required"], flags].concat();
        Self { world: World::in_dir(dir, &flags).await, root }
    }

    pub(crate) fn client(&self, key: &str) -> Client {
        let access = Access::default().with_credential(key).expect("a key");
        Client::lazy_with(self.world.server.url(), &access).expect("the address of the server")
    }

    /// Makes a key through the server.
    pub(crate) async fn key(&self, role: Role, queues: &[&str]) -> String {
        let name = role.as_str_name().trim_start_matches("ROLE_").to_lowercase();
        let queues = queues.iter().map(|one| (*one).to_owned()).collect();
        let request = CreateKeyRequest { name, role: role.into(), queues, expires_at: None };
        let answer = self.client(&self.root).create_key(request).await.expect("a key is made");
        answer.credential
    }
}

/// Makes a key beside the data; answers its text.
pub(crate) async fn offline_key(data: &Path, flags: &[&str]) -> String {
    let data = data.to_str().expect("a path");
    let args = [&["key", "create", "--data-dir", data], flags].concat();
    sentinel(args).await.ok().trim().to_owned()
}

/// The public part of a key.
pub(crate) fn id_of(key: &str) -> &str {
    key.split('_').nth(1).expect("snt_<id>_<secret>")
}
