//! What every client verb shares: which server, how to answer, and the runtime.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use sentinel_client::{
    Access, CA_ENV, CERT_ENV, CREDENTIAL_ENV, Client, DEFAULT_ENDPOINT, Error, KEY_ENV,
};

use super::failure::{self, Failure};
use super::out::{self, Out};
use crate::config::{Color, parse_span};

/// Flags of every client verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection and output")]
pub(super) struct Connection {
    /// The server.
    #[arg(long, global = true, value_name = "URL", env = "SENTINEL_SERVER", hide_env_values = true, default_value = DEFAULT_ENDPOINT)]
    server: String,
    /// The key to call with, or @FILE that holds one, so that no list of processes shows it.
    #[arg(long, global = true, value_name = "KEY", env = CREDENTIAL_ENV, hide_env_values = true)]
    credential: Option<String>,
    /// The certificate that an https:// server is checked against [default: the system's].
    #[arg(long, global = true, value_name = "FILE", env = CA_ENV, hide_env_values = true)]
    ca: Option<PathBuf>,
    /// The certificate to show to a server that asks clients for one, in PEM.
    #[arg(long, global = true, value_name = "FILE", env = CERT_ENV, hide_env_values = true)]
    cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, global = true, value_name = "FILE", env = KEY_ENV, hide_env_values = true)]
    key: Option<PathBuf>,
    /// Answer with one JSON object a line: the field names of the protocol, lowerCamelCase.
    #[arg(long, global = true)]
    json: bool,
    /// Colours: auto, always, never. NO_COLOR is respected.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", value_parser = color)]
    color: Color,
    /// The longest that one call may take.
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = parse_span)]
    timeout: Duration,
    /// Who asks, for the audit trail.
    #[arg(long, global = true, env = "USER", hide_env_values = true, default_value = "cli")]
    actor: String,
}

fn color(word: &str) -> Result<Color, clap::Error> {
    Color::from_word(word).ok_or_else(|| {
        clap::Error::raw(clap::error::ErrorKind::InvalidValue, "expected auto, always or never")
    })
}

impl Connection {
    /// Runs a verb, which answers with its exit code.
    pub(super) fn run<V, F>(self, verb: V) -> ExitCode
    where
        V: FnOnce(Dial, Out) -> F,
        F: Future<Output = Result<u8, Failure>>,
    {
        let json = self.json;
        let out = Out::stdout(json, self.color);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("error: start the runtime: {error}");
                return ExitCode::from(failure::OTHER);
            }
        };
        // Large on the stack; one allocation a process does not matter.
        let ended = runtime.block_on(Box::pin(verb(Dial(self), out)));
        ExitCode::from(ended.unwrap_or_else(|failure| out::report(&failure, json)))
    }
}

/// A connection to be made, once the verb has checked what it was given.
pub(super) struct Dial(Connection);

impl Dial {
    /// Where it goes.
    pub(super) fn server(&self) -> &str {
        &self.0.server
    }

    /// What it goes with.
    pub(super) fn access(&self) -> Result<Access, Failure> {
        let Connection { server, credential, ca, cert, key, .. } = &self.0;
        let access = Access::find(server, credential.as_deref(), ca.as_deref())?;
        Ok(access.with_certificate_files(cert.as_deref(), key.as_deref())?)
    }

    /// Connects now, so that a missing server is told before anything waits for it.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        let Connection { server, timeout, actor, .. } = &self.0;
        let access = self.access()?;
        let client = Client::connect_with(server, &access).await.map_err(|error| match error {
            Error::Transport { message } => Failure::NoServer { server: server.clone(), message },
            other => Failure::Call(other),
        })?;
        Ok(client.with_actor(actor).with_timeout(*timeout))
    }
}
