//! `sentinel key`: who may call. The first key is made beside the data: whoever can write
//! there is above every key anyway, and no secret waits in a configuration.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use prost_types::Timestamp;
use sentinel_client::proto::admin::v1::{CreateKeyRequest, Key, Role as WireRole};
use sentinel_domain::{ApiKey, KeyId, Role, Scopes};
use sentinel_engine::Clock;
use sentinel_ledger::{Ledger, LedgerOptions};
use serde_json::{Value, json};

use super::connection::{Connection, Dial};
use super::failure::Failure;
use super::out::Out;
use super::table::{self, Painted};
use super::text;
use crate::config::parse_span;
use crate::identity::make_key;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel key create --name root --role admin --data-dir /var/lib/sentinel
  sentinel key create --name shop --role producer --queue 'shop.*' --queue mail --expires 90d
  sentinel key list
  sentinel key revoke 0f3a5c7e9b1d2f40

With --data-dir or --ledger-url the key is made beside the data, without a key to call with:
so the first one is made. A server that runs there knows it within 5 s.";

/// `sentinel key`.
#[derive(Debug, Args)]
pub(super) struct KeyCommand {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a key and print it; it can not be read again.
    #[command(after_help = EXAMPLES)]
    Create(Create),
    /// List all keys, the newest first.
    #[command(after_help = "Example:\n  sentinel key list --json | jq -r .id")]
    List,
    /// End a key, and the streams that were opened with it.
    #[command(after_help = "Example:\n  sentinel key revoke 0f3a5c7e9b1d2f40")]
    Revoke {
        /// Its id: the middle part of the key.
        id: String,
    },
}

#[derive(Debug, Args)]
struct Create {
    /// Who holds it: the actor of what is done with it.
    #[arg(long)]
    name: String,
    /// viewer, operator, producer, worker or admin.
    #[arg(long)]
    role: Role,
    /// A queue it reaches, or a prefix such as shop.*; repeat it for more [default: all].
    #[arg(long = "queue", value_name = "NAME")]
    queues: Vec<String>,
    /// For how long it is taken, such as 90d [default: for ever].
    #[arg(long, value_name = "DURATION", value_parser = parse_span)]
    expires: Option<Duration>,
    /// Make it in this data directory, not through a server.
    #[arg(long, value_name = "PATH", conflicts_with = "ledger_url")]
    data_dir: Option<PathBuf>,
    /// Make it in this shared database, not through a server.
    #[arg(long, value_name = "URL")]
    ledger_url: Option<String>,
}

/// Runs a verb.
pub(super) fn run(command: KeyCommand) -> ExitCode {
    let KeyCommand { connection, verb } = command;
    connection.run(|dial, mut out| async move {
        let out = &mut out;
        match verb {
            Verb::Create(create) => create.run(dial, out).await?,
            Verb::List => show(&dial.client().await?.list_keys().await?, out)?,
            Verb::Revoke { id } => {
                let key = dial.client().await?.revoke_key(id).await?;
                match out.json {
                    true => out.object(&to_json(&key))?,
                    false => out.line(format!("{} of {} is revoked", key.id, key.name))?,
                }
            }
        }
        Ok(0)
    })
}

impl Create {
    async fn run(self, dial: Dial, out: &mut Out) -> Result<(), Failure> {
        let (id, credential) = match self.ledger().await? {
            Some(ledger) => {
                let (credential, key) = make_key(&ledger, self.key()).await?;
                (key.id.to_string(), credential.reveal())
            }
            None => {
                let answer = dial.client().await?.create_key(self.request()).await?;
                (answer.key.map(|key| key.id).unwrap_or_default(), answer.credential)
            }
        };
        match out.json {
            true => out.object(&json!({ "id": id, "credential": credential })),
            // Nothing else, so that it can go into a file.
            false => out.line(credential),
        }
    }

    async fn ledger(&self) -> Result<Option<Ledger>, Failure> {
        if let Some(url) = &self.ledger_url {
            let ledger = Ledger::connect(url, LedgerOptions::default()).await;
            return ledger.map(Some).map_err(Failure::Ledger);
        }
        let Some(dir) = &self.data_dir else { return Ok(None) };
        let failed = |source| Failure::File { path: dir.clone(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        // A server may hold the directory; the file lets several in.
        let ledger = Ledger::open(&dir.join(crate::backup::LEDGER)).await;
        ledger.map(Some).map_err(Failure::Ledger)
    }

    fn key(&self) -> ApiKey {
        let now = Clock::system().now();
        let span = self.expires.map(|span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
        ApiKey {
            id: KeyId(0),
            secret_hash: [0; 32],
            name: self.name.as_str().into(),
            role: self.role,
            scopes: Scopes::of(self.queues.iter().map(|queue| queue.as_str().into())),
            created_at: now,
            created_by: "sentinel key create".to_owned(),
            expires_at: span.map(|span| now.saturating_add(span)),
            revoked_at: None,
            last_used_at: None,
        }
    }

    fn request(&self) -> CreateKeyRequest {
        let key = self.key();
        let role = match self.role {
            Role::Viewer => WireRole::Viewer,
            Role::Operator => WireRole::Operator,
            Role::Admin => WireRole::Admin,
            Role::Producer => WireRole::Producer,
            Role::Worker => WireRole::Worker,
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

fn role_word(key: &Key) -> String {
    let name = key.role().as_str_name();
    name.strip_prefix("ROLE_").unwrap_or(name).to_lowercase()
}

fn state(key: &Key, out: &Out) -> &'static str {
    let is_over =
        |at: &Timestamp| std::time::SystemTime::try_from(*at).is_ok_and(|at| at <= out.now);
    match (&key.revoked_at, &key.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(at)) if is_over(at) => "expired",
        _ => "active",
    }
}

fn to_json(key: &Key) -> Value {
    let time = |at: &Option<Timestamp>| at.as_ref().map(ToString::to_string);
    json!({
        "id": key.id, "name": key.name, "role": role_word(key), "queues": key.queues,
        "createdAt": time(&key.created_at), "createdBy": key.created_by,
        "expiresAt": time(&key.expires_at), "revokedAt": time(&key.revoked_at),
        "lastUsedAt": time(&key.last_used_at),
    })
}

fn show(keys: &[Key], out: &mut Out) -> Result<(), Failure> {
    if out.json {
        for key in keys {
            out.object(&to_json(key))?;
        }
        return Ok(());
    }
    let header = ["ID", "NAME", "ROLE", "STATE", "AGE", "USED", "QUEUES"];
    table::write(out, &header, keys.iter().map(|key| row(key, out)).collect())
}

fn row(key: &Key, out: &Out) -> Vec<Painted> {
    let queues = if key.queues.is_empty() { "all".to_owned() } else { key.queues.join(" ") };
    vec![
        key.id.clone().into(),
        key.name.clone().into(),
        role_word(key).into(),
        state(key, out).into(),
        text::age(key.created_at.as_ref(), out.now).into(),
        text::age(key.last_used_at.as_ref(), out.now).into(),
        queues.into(),
    ]
}
