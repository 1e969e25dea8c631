//! `sentinel key`: creates, lists and revokes API keys. The first key is created directly in the
//! ledger, so that no secret has to be in a configuration. Whoever can write to the ledger has
//! full control anyway.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use prost_types::Timestamp;
use sentinel_client::proto::admin::v1::{CreateKeyRequest, Key, Role as ProtoRole};
use sentinel_domain::{ApiKey, KeyId, Role, Scopes};
use sentinel_engine::Clock;
use sentinel_ledger::{Ledger, LedgerOptions};
use serde_json::json;

use super::connection::{ConnectionArgs, Connector};
use super::error::CliError;
use super::output::Output;
use super::table::{self, StyledCell};
use super::{json, text};
use crate::config::parse_duration;
use crate::data_dir;
use crate::identity::create_api_key;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel key create --name root --role admin --data-dir /var/lib/sentinel --out root.key
  sentinel key create --name shop --role producer --queue 'shop.*' --queue mail --expires 90d
  sentinel key list
  sentinel key revoke 0f3a5c7e9b1d2f40

Create the first key with --data-dir or --ledger-url: it is written directly to the ledger, so the
call needs no key. A running server accepts it within 5 s.";

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Create an API key and print it. It cannot be shown again.
    #[command(after_help = EXAMPLES)]
    Create(CreateArgs),
    /// List all API keys, newest first. Their secrets are not shown.
    #[command(after_help = "Example:\n  sentinel key list --json | jq -r .id")]
    List,
    /// Revoke an API key. Streams that were opened with it are closed.
    #[command(after_help = "Example:\n  sentinel key revoke 0f3a5c7e9b1d2f40")]
    Revoke {
        /// Id of the key: the middle part of the key itself, or as `sentinel key list` shows it.
        id: String,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Name of the key's holder. The audit log shows it as the actor.
    #[arg(long)]
    name: String,
    /// Role: viewer, operator, producer, worker or admin.
    #[arg(long)]
    role: Role,
    /// Queue that the key gives access to, or a prefix such as shop.*; repeatable [default: all].
    #[arg(long = "queue", value_name = "NAME")]
    queues: Vec<String>,
    /// Time until the key expires, such as 90d [default: never].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires: Option<Duration>,
    /// Create the key directly in this data directory, without calling a server.
    #[arg(long, value_name = "PATH", conflicts_with = "ledger_url")]
    data_dir: Option<PathBuf>,
    /// Create the key directly in this shared database, without calling a server.
    #[arg(long, value_name = "URL")]
    ledger_url: Option<String>,
    /// Write the key to this new file, which only its owner can read, instead of printing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs `sentinel key`.
pub(super) fn run(args: KeyArgs) -> ExitCode {
    let KeyArgs { connection, command } = args;
    connection.run(|connector, mut out| async move {
        let out = &mut out;
        match command {
            KeyCommand::Create(args) => args.run(connector, out).await?,
            KeyCommand::List => print(&connector.client().await?.list_keys().await?, out)?,
            KeyCommand::Revoke { id } => {
                let key = connector.client().await?.revoke_key(id).await?;
                match out.json {
                    true => out.json_line(&json::key(&key))?,
                    false => out.line(format!("revoked key {} of {}", key.id, key.name))?,
                }
            }
        }
        Ok(0)
    })
}

impl CreateArgs {
    async fn run(self, connector: Connector, out: &mut Output) -> Result<(), CliError> {
        // Before the key exists: it cannot be shown again.
        let file = self.out.as_deref().map(create_private).transpose()?;
        let (id, credential) = match self.open_ledger().await? {
            Some(ledger) => {
                let (credential, key) = create_api_key(&ledger, self.api_key()).await?;
                (key.id.to_string(), credential.reveal())
            }
            None => {
                let response = connector.client().await?.create_key(self.request()).await?;
                (response.key.map(|key| key.id).unwrap_or_default(), response.credential)
            }
        };
        if let (Some(mut file), Some(path)) = (file, &self.out) {
            let failed = |source| CliError::File { path: path.clone(), source };
            writeln!(file, "{credential}").and_then(|()| file.sync_all()).map_err(failed)?;
            return match out.json {
                true => out.json_line(&json!({ "id": id, "file": path })),
                false => out.line(format!("wrote key {id} of {} to {}", self.name, path.display())),
            };
        }
        match out.json {
            true => out.json_line(&json!({ "id": id, "credential": credential })),
            // Only the key, so that the output can be redirected to a file.
            false => out.line(credential),
        }
    }

    /// Opens the ledger that a flag names; none when the key is created by a server.
    async fn open_ledger(&self) -> Result<Option<Ledger>, CliError> {
        if let Some(url) = &self.ledger_url {
            // It writes a key and no payload.
            let ledger = Ledger::connect(url, LedgerOptions::new(0)).await;
            return ledger.map(Some).map_err(CliError::Ledger);
        }
        let Some(dir) = &self.data_dir else { return Ok(None) };
        let failed = |source| CliError::File { path: dir.clone(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        // Does not lock the directory: SQLite allows a second process beside a server.
        let ledger = Ledger::open(&dir.join(data_dir::LEDGER)).await;
        ledger.map(Some).map_err(CliError::Ledger)
    }

    fn api_key(&self) -> ApiKey {
        let now = Clock::system().now();
        let lifetime =
            self.expires.map(|expires| i64::try_from(expires.as_millis()).unwrap_or(i64::MAX));
        ApiKey {
            id: KeyId(0),
            secret_hash: [0; 32],
            name: self.name.as_str().into(),
            role: self.role,
            scopes: Scopes::new(self.queues.iter().map(|queue| queue.as_str().into())),
            created_at: now,
            created_by: "sentinel key create".to_owned(),
            expires_at: lifetime.map(|lifetime| now.saturating_add(lifetime)),
            revoked_at: None,
            last_used_at: None,
        }
    }

    fn request(&self) -> CreateKeyRequest {
        let key = self.api_key();
        let role = match self.role {
            Role::Viewer => ProtoRole::Viewer,
            Role::Operator => ProtoRole::Operator,
            Role::Admin => ProtoRole::Admin,
            Role::Producer => ProtoRole::Producer,
            Role::Worker => ProtoRole::Worker,
        };
        let timestamp = |at: i64| Timestamp {
            seconds: at.div_euclid(1_000),
            nanos: (at.rem_euclid(1_000) * 1_000_000) as i32,
        };
        CreateKeyRequest {
            name: self.name.clone(),
            role: role.into(),
            queues: self.queues.clone(),
            expires_at: key.expires_at.map(timestamp),
        }
    }
}

/// Creates a file that only its owner can read.
fn create_private(path: &Path) -> Result<File, CliError> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|source| CliError::File { path: path.to_owned(), source })
}

fn role_name(key: &Key) -> String {
    let name = key.role().as_str_name();
    name.strip_prefix("ROLE_").unwrap_or(name).to_lowercase()
}

fn state(key: &Key, out: &Output) -> &'static str {
    let is_past = |at: &Timestamp| SystemTime::try_from(*at).is_ok_and(|at| at <= out.now);
    match (&key.revoked_at, &key.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(at)) if is_past(at) => "expired",
        _ => "active",
    }
}

fn print(keys: &[Key], out: &mut Output) -> Result<(), CliError> {
    if out.json {
        return out.json_lines(keys, json::key);
    }
    let header = ["ID", "NAME", "ROLE", "STATE", "AGE", "USED", "QUEUES"];
    table::write(out, &header, keys.iter().map(|key| row(key, out)).collect())
}

fn row(key: &Key, out: &Output) -> Vec<StyledCell> {
    let queues = if key.queues.is_empty() { "all".to_owned() } else { key.queues.join(" ") };
    vec![
        key.id.clone().into(),
        key.name.clone().into(),
        role_name(key).into(),
        state(key, out).into(),
        text::age(key.created_at.as_ref(), out.now).into(),
        text::age(key.last_used_at.as_ref(), out.now).into(),
        queues.into(),
    ]
}
