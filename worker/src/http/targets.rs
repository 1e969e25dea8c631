//! Restricts the addresses that requests may reach, against server-side request forgery. Everyone
//! who may enqueue chooses the URL, and workers often run in a trusted network. Only the public
//! internet is allowed, unless the operator allows more. The resolved address is checked and then
//! connected to, so that a second DNS lookup cannot return another address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A CIDR block: an address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    base: IpAddr,
    bits: u8,
}

impl Block {
    const fn v4(a: u8, b: u8, c: u8, bits: u8) -> Self {
        Self { base: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), bits }
    }

    const fn v6(first: u16, second: u16, third: u16, bits: u8) -> Self {
        Self { base: IpAddr::V6(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0)), bits }
    }

    fn contains(self, ip: IpAddr) -> bool {
        match (self.base, ip) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.bits);
                base.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.bits);
                base.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// Blocks that are not the public internet, from the IANA special-purpose address registries, with
/// their categories.
const SPECIAL_PURPOSE: &[(Block, &str)] = &[
    (Block::v4(0, 0, 0, 8), "this host"),
    (Block::v4(10, 0, 0, 8), "private"),
    (Block::v4(100, 64, 0, 10), "shared by a carrier (CGNAT)"),
    (Block::v4(127, 0, 0, 8), "loopback"),
    (Block::v4(169, 254, 0, 16), "link-local"),
    (Block::v4(172, 16, 0, 12), "private"),
    (Block::v4(192, 0, 0, 24), "reserved for protocols"),
    (Block::v4(192, 0, 2, 24), "reserved for documentation"),
    (Block::v4(192, 88, 99, 24), "reserved for relays (6to4)"),
    (Block::v4(192, 168, 0, 16), "private"),
    (Block::v4(198, 18, 0, 15), "reserved for benchmarks"),
    (Block::v4(198, 51, 100, 24), "reserved for documentation"),
    (Block::v4(203, 0, 113, 24), "reserved for documentation"),
    (Block::v4(224, 0, 0, 4), "multicast"),
    (Block::v4(240, 0, 0, 4), "reserved or broadcast"),
    (Block::v6(0, 0, 0, 96), "this host, loopback or an embedded IPv4 address"),
    (
        Block { base: IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0)), bits: 96 },
        "an IPv4 address mapped into IPv6",
    ),
    (Block::v6(0x64, 0xff9b, 0, 32), "an IPv4 address behind a translator (NAT64)"),
    (Block::v6(0x100, 0, 0, 64), "discarded"),
    (Block::v6(0x2001, 0, 0, 23), "reserved for protocols"),
    (Block::v6(0x2001, 0xdb8, 0, 32), "reserved for documentation"),
    (Block::v6(0x2002, 0, 0, 16), "an embedded IPv4 address (6to4)"),
    (Block::v6(0x3fff, 0, 0, 20), "reserved for documentation"),
    (Block::v6(0xfc00, 0, 0, 7), "private (ULA)"),
    (Block::v6(0xfe80, 0, 0, 10), "link-local"),
    (Block::v6(0xfec0, 0, 0, 10), "site-local"),
    (Block::v6(0xff00, 0, 0, 8), "multicast"),
];

/// The global unicast addresses of IPv6.
const GLOBAL_V6: Block = Block::v6(0x2000, 0, 0, 3);

/// Returns the category of an address that is not on the public internet, else `None`.
fn special_purpose(ip: IpAddr) -> Option<&'static str> {
    let listed =
        SPECIAL_PURPOSE.iter().find(|(block, _)| block.contains(ip)).map(|(_, category)| *category);
    let unrouted = ip.is_ipv6() && !GLOBAL_V6.contains(ip);
    listed.or(unrouted.then_some("outside of the routed addresses"))
}

/// Targets that the operator allows: blocks of addresses, and host names with any address they
/// resolve to.
#[derive(Clone, Debug, Default)]
pub struct AllowedTargets {
    blocks: Vec<Block>,
    hosts: Vec<String>,
}

/// An entry is not a valid target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{entry:?} is not a valid target: expected a block such as 10.1.0.0/16 or fd00::/8, an \
     address, or a host name without scheme and port"
)]
pub struct InvalidTarget {
    entry: String,
}

impl AllowedTargets {
    /// Parses entries such as `10.1.0.0/16`, `::1` or `orders.internal`.
    ///
    /// # Errors
    /// The first entry that is not a valid target.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidTarget> {
        let mut allowed = Self::default();
        for entry in entries {
            let entry = entry.trim();
            let invalid = || InvalidTarget { entry: entry.to_owned() };
            if let Some(block) = parse_block(entry) {
                allowed.blocks.push(block.ok_or_else(invalid)?);
            } else if is_host_name(entry) {
                allowed.hosts.push(entry.trim_end_matches('.').to_ascii_lowercase());
            } else {
                return Err(invalid());
            }
        }
        Ok(allowed)
    }

    /// Returns whether a host is allowed with any address.
    pub(super) fn allows_host(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
    }

    /// Returns the category of an address that is not allowed, or `None` if it is allowed.
    pub(super) fn forbidden_category(&self, ip: IpAddr) -> Option<&'static str> {
        let category = special_purpose(ip)?;
        let is_allowed = self.blocks.iter().any(|block| block.contains(ip));
        (!is_allowed).then_some(category)
    }
}

/// Parses an address or a block. Returns `None` if the entry is neither, and `Some(None)` if it has
/// the form of a block and is invalid.
fn parse_block(entry: &str) -> Option<Option<Block>> {
    let (address, bits) = match entry.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (entry, None),
    };
    let Ok(base) = IpAddr::from_str(address) else {
        return bits.is_some().then_some(None);
    };
    let max_bits = if base.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(max_bits), u8::from_str).ok().filter(|bits| *bits <= max_bits);
    Some(bits.map(|bits| Block { base, bits }))
}

fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let text = text.trim_end_matches('.');
    // A host that ends in a number is an IPv4 address in another notation.
    let ends_in_number = text.rsplit('.').next().is_some_and(|last| {
        last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x")
    });
    text.len() <= 253 && text.split('.').all(is_label) && !ends_in_number
}

#[cfg(test)]
mod tests;
