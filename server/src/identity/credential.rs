//! The text form of an API key: `snt_<id>_<secret>`, with 16 and 64 hexadecimal digits. The prefix
//! lets secret scanners recognise a leaked key.

use std::fmt;

use sentinel_domain::KeyId;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &[u8] = b"snt_";
const ID: usize = 16;
const SECRET: usize = 64;
const BYTES: usize = PREFIX.len() + ID + 1 + SECRET;

/// An API key with its secret. `Debug` hides the secret; [`Credential::reveal`] returns it.
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
    /// Creates a credential with a random id and secret.
    pub fn random() -> Self {
        Self { id: KeyId(rand::random()), secret: rand::random() }
    }

    /// Parses the text form. The secret is decoded in constant time, without a table lookup or a
    /// branch that depends on it.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != BYTES || !text.starts_with(PREFIX) || text[PREFIX.len() + ID] != b'_' {
            return None;
        }
        let id = std::str::from_utf8(&text[PREFIX.len()..][..ID]).ok()?.parse().ok()?;
        let mut secret = [0; 32];
        let mut invalid = 0;
        for (byte, pair) in secret.iter_mut().zip(text[BYTES - SECRET..].chunks_exact(2)) {
            let (high, invalid_high) = digit(pair[0]);
            let (low, invalid_low) = digit(pair[1]);
            *byte = high << 4 | low;
            invalid |= invalid_high | invalid_low;
        }
        (invalid == 0).then_some(Self { id, secret })
    }

    /// Returns the hash of the secret, which is what the ledger stores.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// Returns whether the secret has this hash, in constant time.
    pub(super) fn matches(&self, hash: &[u8; 32]) -> bool {
        self.hash().ct_eq(hash).into()
    }

    /// Returns the text form with the secret.
    pub fn reveal(&self) -> String {
        let mut text = format!("snt_{}_", self.id);
        for byte in self.secret {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }
}

/// Returns the value of a lower-case hexadecimal digit and a mask that is not 0 if the byte is no
/// such digit.
fn digit(byte: u8) -> (u8, u8) {
    let number = byte.wrapping_sub(b'0');
    let letter = byte.wrapping_sub(b'a');
    let is_number = u8::from(number < 10).wrapping_neg();
    let is_letter = u8::from(letter < 6).wrapping_neg();
    ((number & is_number) | (letter.wrapping_add(10) & is_letter), !(is_number | is_letter))
}
