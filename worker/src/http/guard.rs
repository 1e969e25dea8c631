//! Which addresses a request may reach. Whoever may enqueue names the target; the worker often
//! sits inside a network that trusts it. So only the public internet is open, unless the operator
//! opened more. Addresses are judged, not names: after the look-up, and the very address that was
//! judged is dialled, so that a name can not answer differently the second time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address and how many of its leading bits count.
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

/// Blocks that are not the public internet (IANA special-purpose registries), and what they are.
const CLOSED: &[(Block, &str)] = &[
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

/// All that is routed in IPv6 is in here today.
const GLOBAL_V6: Block = Block::v6(0x2000, 0, 0, 3);

/// What is wrong with an address as a target; `None`: it is of the public internet.
fn closed(ip: IpAddr) -> Option<&'static str> {
    let listed = CLOSED.iter().find(|(block, _)| block.contains(ip)).map(|(_, what)| *what);
    let unrouted = ip.is_ipv6() && !GLOBAL_V6.contains(ip);
    listed.or(unrouted.then_some("outside of what is routed"))
}

/// Targets that the operator opened: blocks of addresses, and names whatever they resolve to.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    blocks: Vec<Block>,
    hosts: Vec<String>,
}

/// Why an entry was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{entry:?} is no target: expected a block such as 10.1.0.0/16 or fd00::/8, an address, or the \
     name of a host without scheme and port"
)]
pub struct AllowedError {
    entry: String,
}

impl Allowed {
    /// Reads entries such as `10.1.0.0/16`, `::1` or `orders.internal`.
    ///
    /// # Errors
    /// The first entry that is none of these.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, AllowedError> {
        let mut allowed = Self::default();
        for entry in entries {
            let entry = entry.trim();
            let refused = || AllowedError { entry: entry.to_owned() };
            if let Some(block) = block(entry) {
                allowed.blocks.push(block.ok_or_else(refused)?);
            } else if is_host_name(entry) {
                allowed.hosts.push(entry.trim_end_matches('.').to_ascii_lowercase());
            } else {
                return Err(refused());
            }
        }
        Ok(allowed)
    }

    /// Whether this name may be reached whatever it resolves to.
    pub(super) fn allows_host(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
    }

    /// What forbids an address; `None`: it may be dialled.
    pub(super) fn forbids(&self, ip: IpAddr) -> Option<&'static str> {
        let what = closed(ip)?;
        let opened = self.blocks.iter().any(|block| block.contains(ip));
        (!opened).then_some(what)
    }
}

/// `None`: not written as an address. `Some(None)`: written so, and wrong.
fn block(entry: &str) -> Option<Option<Block>> {
    let (address, bits) = match entry.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (entry, None),
    };
    let Ok(base) = IpAddr::from_str(address) else {
        return bits.is_some().then_some(None);
    };
    let most = if base.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(most), u8::from_str).ok().filter(|bits| *bits <= most);
    Some(bits.map(|bits| Block { base, bits }))
}

fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let text = text.trim_end_matches('.');
    // A name that ends in a number is an address in another notation.
    let ends_in_number = text.rsplit('.').next().is_some_and(|last| {
        last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x")
    });
    text.len() <= 253 && text.split('.').all(is_label) && !ends_in_number
}

#[cfg(test)]
mod tests;
