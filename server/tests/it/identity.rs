//! Authentication and authorization over the wire: every call with every role, with expired,
//! revoked and forged keys, and with keys of other queues.

mod audit;
mod languages;
mod queues;
mod raw_call;
mod roles;
mod streams;

use std::path::Path;

use sentinel_client::proto::admin::v1::{CreateKeyRequest, Role};
use sentinel_client::{Client, ConnectOptions};

use crate::harness::{TestServer, sentinel};

/// A server that requires API keys, and the key of its first administrator.
pub(crate) struct AuthServer {
    pub(crate) server: TestServer,
    pub(crate) root_key: String,
}

impl AuthServer {
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // Created before the first start: without a key, no call is allowed.
        let root_key =
            create_key_offline(&dir.path().join("data"), &["--name", "root", "--role", "admin"])
                .await;
        let flags = [&["--auto-create-queues", "--credentials", "required"], flags].concat();
        Self { server: TestServer::in_dir(dir, &flags).await, root_key }
    }

    /// Returns a client with this key.
    pub(crate) fn client(&self, key: &str) -> Client {
        let access = ConnectOptions::default().with_credential(key).expect("a key");
        Client::connect_lazy_with(self.server.url(), &access).expect("a valid server address")
    }

    /// Creates a key through the server.
    pub(crate) async fn create_key(&self, role: Role, queues: &[&str]) -> String {
        let name = role.as_str_name().trim_start_matches("ROLE_").to_lowercase();
        let queues = queues.iter().map(|one| (*one).to_owned()).collect();
        let request = CreateKeyRequest { name, role: role.into(), queues, expires_at: None };
        let response = self.client(&self.root_key).create_key(request).await.expect("create a key");
        response.credential
    }
}

/// Creates a key in a data directory with the CLI and returns its text.
pub(crate) async fn create_key_offline(data: &Path, flags: &[&str]) -> String {
    let data = data.to_str().expect("a path");
    let args = [&["key", "create", "--data-dir", data], flags].concat();
    sentinel(args).await.ok().trim().to_owned()
}

/// Returns the public id of a key.
pub(crate) fn key_id(key: &str) -> &str {
    key.split('_').nth(1).expect("snt_<id>_<secret>")
}
