//! The token file of `sentinel dev`. Programs of the same user on the same machine read it to find
//! the server and an API key without configuration.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use http::HeaderValue;
use sentinel_domain::{ApiKey, KeyId, Millis, Role, Scopes};

use super::api_keys::ApiKeys;

const NAME: &str = "dev-token";

/// Writes the server's address and a valid key to a file that only its owner can read. Returns the
/// key. The key of an existing file is reused if it is still valid.
pub(crate) async fn write(
    dir: &Path,
    server: SocketAddr,
    api_keys: &ApiKeys,
    now: Millis,
) -> Result<String> {
    let path = dir.join(NAME);
    let key = match existing_key(&path, api_keys) {
        Some(key) => key,
        None => {
            let (credential, _) = api_keys.create(dev_key(now)).await?;
            credential.reveal()
        }
    };
    replace_file(&path, &format!("{server}\n{key}\n"))
        .with_context(|| format!("write {}", path.display()))?;
    Ok(key)
}

fn existing_key(path: &PathBuf, api_keys: &ApiKeys) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let key = text.lines().nth(1)?;
    let header = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
    api_keys.authenticate(Some(&header)).ok().map(|_| key.to_owned())
}

/// Creates a new file and renames it: another process may have the old file open, and the path may
/// be a symbolic link.
fn replace_file(path: &Path, text: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&fresh, path)
}

fn dev_key(now: Millis) -> ApiKey {
    ApiKey {
        id: KeyId(0),
        secret_hash: [0; 32],
        name: "dev".into(),
        role: Role::Admin,
        scopes: Scopes::ALL,
        created_at: now,
        created_by: "sentinel dev".to_owned(),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}
