//! The text of a key: `snt_<id>_<secret>`, 16 and 64 hexadecimal digits. The prefix is there
//! for scanners of leaked secrets.

use std::fmt;

use sentinel_domain::KeyId;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &[u8] = b"snt_";
const ID: usize = 16;
const SECRET: usize = 64;
const BYTES: usize = PREFIX.len() + ID + 1 + SECRET;

/// A key with its secret. It is shown once, by [`Credential::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    pub id: KeyId,
    secret: [u8; 32],
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snt_{}_***", self.id)
    }
}

impl Credential {
    /// From fresh randomness of the operating system's kind.
    pub fn random() -> Self {
        Self { id: KeyId(rand::random()), secret: rand::random() }
    }

    /// None where the text has another form. Looks at the secret without a table or a branch
    /// that depends on it, so that the time it takes tells nothing.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != BYTES || !text.starts_with(PREFIX) || text[PREFIX.len() + ID] != b'_' {
            return None;
        }
        let id = std::str::from_utf8(&text[PREFIX.len()..][..ID]).ok()?.parse().ok()?;
        let mut secret = [0; 32];
        let mut is_bad = 0;
        for (byte, pair) in secret.iter_mut().zip(text[BYTES - SECRET..].chunks_exact(2)) {
            let (high, bad_high) = digit(pair[0]);
            let (low, bad_low) = digit(pair[1]);
            *byte = high << 4 | low;
            is_bad |= bad_high | bad_low;
        }
        (is_bad == 0).then_some(Self { id, secret })
    }

    /// What is kept of the secret.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// Whether this is the key that the hash is of; takes the same time for every answer.
    pub(super) fn fits(&self, hash: &[u8; 32]) -> bool {
        self.hash().ct_eq(hash).into()
    }

    /// The text of the key.
    pub fn reveal(&self) -> String {
        let mut text = format!("snt_{}_", self.id);
        for byte in self.secret {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }
}

/// The value of a lower-case hexadecimal digit, and whether it is none.
fn digit(byte: u8) -> (u8, u8) {
    let number = byte.wrapping_sub(b'0');
    let letter = byte.wrapping_sub(b'a');
    let is_number = u8::from(number < 10).wrapping_neg();
    let is_letter = u8::from(letter < 6).wrapping_neg();
    ((number & is_number) | (letter.wrapping_add(10) & is_letter), !(is_number | is_letter))
}
