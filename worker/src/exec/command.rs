//! Parses and validates the payload before any process is started.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use sentinel_client::worker::HandlerError;
use serde_json::Value;

use super::Config;
use crate::payload::{Fields, invalid, unexpected};

const MAX_ARGS: usize = 256;
const MAX_ARG_BYTES: usize = 96 * 1024;
const MAX_ENV: usize = 64;
const MAX_ENV_BYTES: usize = 32 * 1024;
const MAX_TIMEOUT_MS: u64 = 24 * 60 * 60 * 1000;
const DEFAULT_TIMEOUT_MS: u64 = 10 * 60 * 1000;
const MAX_GRACE_MS: u64 = 60 * 1000;
const DEFAULT_GRACE_MS: u64 = 5 * 1000;
const MAX_CODES: usize = 255;

/// Exit codes that are not retried by default: usage error (64), not executable (126), not found
/// (127).
const NOT_RETRIED_CODES: [i32; 3] = [64, 126, 127];

/// A validated command.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) stdin: Bytes,
    pub(super) timeout: Duration,
    pub(super) grace: Duration,
    /// `None` means all except [`NOT_RETRIED_CODES`].
    retry_codes: Option<Vec<i32>>,
}

impl Command {
    pub(super) fn parse(payload: &[u8], config: &Config) -> Result<Self, HandlerError> {
        let mut fields = Fields::parse(payload)?;
        let name = fields.text("program", None)?;
        let Some(program) = config.programs.get(&name) else {
            let expected = format!("a program of this worker ({})", config.programs.names());
            return Err(unexpected("program", &expected, Some(&name.into())));
        };
        let args = args(fields.list("args", MAX_ARGS)?.unwrap_or_default())?;
        let env = env(fields.texts_by_name("env", MAX_ENV, MAX_ENV_BYTES)?, &config.env_names)?;
        let stdin = fields.bytes("stdin")?.unwrap_or_default();
        let timeout_ms =
            fields.between("timeout_ms", Some(DEFAULT_TIMEOUT_MS), (1, MAX_TIMEOUT_MS))?;
        let grace_ms = fields.number("grace_ms", Some(DEFAULT_GRACE_MS), MAX_GRACE_MS)?;
        let retry_codes = fields.list("retry_codes", MAX_CODES)?.map(codes).transpose()?;
        fields.finish()?;
        Ok(Self {
            program: program.to_owned(),
            args,
            env,
            stdin,
            timeout: Duration::from_millis(timeout_ms),
            grace: Duration::from_millis(grace_ms),
            retry_codes,
        })
    }

    /// Returns whether an attempt with this exit code is retried.
    pub(super) fn is_retryable(&self, code: i32) -> bool {
        match &self.retry_codes {
            Some(codes) => codes.contains(&code),
            None => !NOT_RETRIED_CODES.contains(&code),
        }
    }
}

fn args(items: Vec<Value>) -> Result<Vec<String>, HandlerError> {
    let mut bytes = 0;
    let mut args = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        let field = format!("args[{at}]");
        let Value::String(arg) = item else {
            return Err(unexpected(&field, "a string", Some(&item)));
        };
        check_no_nul(&field, &arg)?;
        bytes += arg.len() + 1;
        args.push(arg);
    }
    if bytes > MAX_ARG_BYTES {
        let reason = format!("expected at most {MAX_ARG_BYTES} bytes, found {bytes}");
        return Err(invalid("args", &reason));
    }
    Ok(args)
}

fn env(
    texts: Vec<(String, String)>,
    allowed: &[String],
) -> Result<Vec<(String, String)>, HandlerError> {
    for (name, value) in &texts {
        let field = format!("env.{name}");
        if !allowed.contains(name) {
            return Err(invalid(&field, "is not a variable that this worker allows (--allow-env)"));
        }
        check_no_nul(&field, value)?;
    }
    Ok(texts)
}

fn check_no_nul(field: &str, text: &str) -> Result<(), HandlerError> {
    match text.find('\0') {
        Some(at) => Err(invalid(field, &format!("has a NUL at byte {at}"))),
        None => Ok(()),
    }
}

fn codes(items: Vec<Value>) -> Result<Vec<i32>, HandlerError> {
    let code = |(at, item): (usize, &Value)| {
        let found = item.as_i64().and_then(|code| i32::try_from(code).ok());
        found.filter(|code| (1..=255).contains(code)).ok_or_else(|| {
            unexpected(&format!("retry_codes[{at}]"), "a whole number 1..255", Some(item))
        })
    };
    items.iter().enumerate().map(code).collect()
}

#[cfg(test)]
mod tests;
