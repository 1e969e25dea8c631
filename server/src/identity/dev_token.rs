//! The key that `sentinel dev` leaves in its directory, so that programs of the same person on
//! the same machine call as somebody without being told how.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use http::HeaderValue;
use sentinel_domain::{ApiKey, KeyId, Millis, Role, Scopes};

use super::keyring::Keyring;

const NAME: &str = "dev-token";

/// Leaves the address and a key that works, in a file that its owner alone can read. Answers
/// the key.
pub(crate) async fn leave(
    dir: &Path,
    server: SocketAddr,
    keyring: &Keyring,
    now: Millis,
) -> Result<String> {
    let path = dir.join(NAME);
    let key = match left_before(&path, keyring) {
        Some(key) => key,
        None => {
            let (credential, _) = keyring.create(dev_key(now)).await?;
            credential.reveal()
        }
    };
    write(&path, &format!("{server}\n{key}\n"))
        .with_context(|| format!("write {}", path.display()))?;
    Ok(key)
}

fn left_before(path: &PathBuf, keyring: &Keyring) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let key = text.lines().nth(1)?;
    let header = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
    keyring.identify(Some(&header)).ok().map(|_| key.to_owned())
}

/// A new file each time: the old one may be open to others, and a link may lead elsewhere.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
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
