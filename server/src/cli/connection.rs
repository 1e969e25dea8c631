//! The flags that all client commands share, and how a client command runs.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use sentinel_client::{
    CA_ENV, CLIENT_CERT_ENV, CLIENT_KEY_ENV, CREDENTIAL_ENV, Client, ConnectOptions,
    DEFAULT_ENDPOINT, Error,
};

use super::error::CliError;
use super::output::{self, Output};
use crate::config::{Color, parse_duration};

/// The flags of every client command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection and output")]
pub(super) struct ConnectionArgs {
    /// URL of the server.
    #[arg(long, global = true, value_name = "URL", env = "SENTINEL_SERVER", hide_env_values = true, default_value = DEFAULT_ENDPOINT)]
    server: String,
    /// API key, or @FILE to read it from a file. The list of processes shows a key that is given
    /// as a flag, so use @FILE or the environment variable on shared machines.
    #[arg(long, global = true, value_name = "KEY", env = CREDENTIAL_ENV, hide_env_values = true)]
    credential: Option<String>,
    /// PEM file with the CA certificate that an https:// server is verified against
    /// [default: the CAs of the system].
    #[arg(long, global = true, value_name = "FILE", env = CA_ENV, hide_env_values = true)]
    ca: Option<PathBuf>,
    /// PEM file with a client certificate, for a server that requires mutual TLS.
    #[arg(long, global = true, value_name = "FILE", env = CLIENT_CERT_ENV, hide_env_values = true)]
    cert: Option<PathBuf>,
    /// PEM file with the private key of the client certificate.
    #[arg(long, global = true, value_name = "FILE", env = CLIENT_KEY_ENV, hide_env_values = true)]
    key: Option<PathBuf>,
    /// Print one JSON object per line, with the field names of the protocol in lowerCamelCase.
    #[arg(long, global = true)]
    json: bool,
    /// When to print colours: auto, always or never. auto respects NO_COLOR.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", value_parser = color)]
    color: Color,
    /// Timeout of each call, such as 500ms or 2m. Streams have no timeout.
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,
    /// Name of the caller for the audit log.
    #[arg(long, global = true, env = "USER", hide_env_values = true, default_value = "cli")]
    actor: String,
}

fn color(name: &str) -> Result<Color, clap::Error> {
    Color::from_name(name).ok_or_else(|| {
        clap::Error::raw(clap::error::ErrorKind::InvalidValue, "expected auto, always or never")
    })
}

impl ConnectionArgs {
    /// Runs a client command. `command` returns the exit code.
    pub(super) fn run<C, F>(self, command: C) -> ExitCode
    where
        C: FnOnce(Connector, Output) -> F,
        F: Future<Output = Result<u8, CliError>>,
    {
        let json = self.json;
        let out = Output::stdout(json, self.color);
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return output::runtime_error(&error),
        };
        // Boxed because the future is large; this is one allocation per process.
        let result = runtime.block_on(Box::pin(command(Connector(self), out)));
        ExitCode::from(result.unwrap_or_else(|error| output::print_error(&error, json)))
    }
}

/// Connects on demand, after the command has checked its flags.
pub(super) struct Connector(ConnectionArgs);

impl Connector {
    /// The URL of the server.
    pub(super) fn server(&self) -> &str {
        &self.0.server
    }

    /// The API key and the certificates to connect with.
    pub(super) fn connect_options(&self) -> Result<ConnectOptions, CliError> {
        let ConnectionArgs { server, credential, ca, cert, key, .. } = &self.0;
        let options = ConnectOptions::resolve(server, credential.as_deref(), ca.as_deref())?;
        Ok(options.with_certificate_files(cert.as_deref(), key.as_deref())?)
    }

    /// Connects at once, so that an unreachable server fails before any call waits for it.
    pub(super) async fn client(&self) -> Result<Client, CliError> {
        let ConnectionArgs { server, timeout, actor, .. } = &self.0;
        let options = self.connect_options()?;
        let client = Client::connect_with(server, &options).await.map_err(|error| match error {
            Error::Transport { message } => {
                CliError::Unreachable { server: server.clone(), message }
            }
            other => CliError::Client(other),
        })?;
        Ok(client.with_actor(actor).with_timeout(*timeout).with_deadline(*timeout))
    }
}
