//! Settings that are valid alone and conflict with each other.

use std::net::SocketAddr;

use super::units::format_duration;
use super::{AckLevel, Config, Credentials, Mode};

/// A conflict between settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A listener is reachable from other machines and calls need no key.
    #[error(
        "{setting} = {listen} is reachable from other machines, and credentials = off lets every \
         caller in. Set credentials = required, or listen on 127.0.0.1, or set insecure = true \
         (--insecure) if the network restricts access"
    )]
    Exposed {
        /// The setting of the listener.
        setting: &'static str,
        /// The address of the listener.
        listen: SocketAddr,
    },
    /// The embedded gateway connects to the server without TLS.
    #[error(
        "gateway_listen cannot be combined with tls_cert. Run sentinel-gateway \
         --server https://.. --ca .. as a separate process and set gateway_listen = off"
    )]
    GatewayWithTls,
    /// Two listeners have the same address.
    #[error("listen and ops_listen are both {listen}; give ops_listen another port")]
    SameAddress {
        /// The address of both.
        listen: SocketAddr,
    },
    /// Only one of store and ledger is shared.
    #[error(
        "{set} is set and {unset} is not. Servers of a cluster share store and ledger; a single \
         server uses its data directory. Set both or neither"
    )]
    PartlyShared {
        /// The setting that is set.
        set: &'static str,
        /// The setting that is not set.
        unset: &'static str,
    },
    /// A TLS setting is set without the one it depends on.
    #[error(
        "{set} needs {unset}: TLS needs a certificate and its private key; set both or neither"
    )]
    IncompleteTls {
        /// The setting that is set.
        set: &'static str,
        /// The setting that is not set.
        unset: &'static str,
    },
    /// TLS is set in `sentinel dev`, whose worker and clients use no certificate.
    #[error("tls_cert is only for `sentinel serve`: `sentinel dev` listens on loopback only")]
    TlsInDev,
    /// `ack = replicated` is set without Redis.
    #[error(
        "ack = replicated needs store_url: only Redis has replicas. Use ack = store or ack = ledger"
    )]
    NoReplicas,
    /// Sessions would expire between two pings.
    #[error(
        "session_ttl = {ttl} is less than 3 x ping_interval = 3 x {ping}; raise session_ttl or \
         lower ping_interval"
    )]
    SessionTtlTooShort {
        /// The value of `session_ttl`.
        ttl: String,
        /// The value of `ping_interval`.
        ping: String,
    },
}

/// Returns all conflicts, each with the names of its settings.
pub(super) fn find(config: &Config, mode: Mode) -> Vec<(&'static [&'static str], Conflict)> {
    let mut found: Vec<(&[&str], Conflict)> = Vec::new();
    let listen = config.listen;
    let is_open = config.credentials == Credentials::Off && !config.insecure;
    let gateway = config.gateway_listen.map(|address| ("gateway_listen", address));
    for (setting, listen) in [("listen", listen)].into_iter().chain(gateway) {
        if is_open && !listen.ip().is_loopback() {
            let names: &[&str] =
                if setting == "listen" { &["listen"] } else { &["gateway_listen"] };
            found.push((names, Conflict::Exposed { setting, listen }));
        }
    }
    if config.gateway_listen.is_some() && config.tls_cert.is_some() {
        found.push((&["gateway_listen", "tls_cert"], Conflict::GatewayWithTls));
    }
    // With port 0 the system chooses a free port for each listener.
    if listen.port() != 0 && listen == config.ops_listen {
        found.push((&["listen", "ops_listen"], Conflict::SameAddress { listen }));
    }
    let shared = [("store_url", &config.store_url), ("ledger_url", &config.ledger_url)];
    for (set, unset) in [(shared[0], shared[1]), (shared[1], shared[0])] {
        if set.1.is_some() && unset.1.is_none() {
            let conflict = Conflict::PartlyShared { set: set.0, unset: unset.0 };
            found.push((&["store_url", "ledger_url"], conflict));
        }
    }
    found.extend(find_in_tls(config, mode));
    if config.ack == AckLevel::Replicated && config.store_url.is_none() {
        found.push((&["ack"], Conflict::NoReplicas));
    }
    if config.session_ttl < 3 * config.ping_interval {
        let ttl = format_duration(config.session_ttl);
        let ping = format_duration(config.ping_interval);
        found.push((&["session_ttl", "ping_interval"], Conflict::SessionTtlTooShort { ttl, ping }));
    }
    found
}

fn find_in_tls(config: &Config, mode: Mode) -> Option<(&'static [&'static str], Conflict)> {
    let is_set = [&config.tls_cert, &config.tls_key, &config.tls_client_ca].map(Option::is_some);
    let incomplete = |set, unset| Conflict::IncompleteTls { set, unset };
    Some(match is_set {
        [true, false, _] => (&["tls_cert"], incomplete("tls_cert", "tls_key")),
        [false, true, _] => (&["tls_key"], incomplete("tls_key", "tls_cert")),
        [false, false, true] => (&["tls_client_ca"], incomplete("tls_client_ca", "tls_cert")),
        [true, true, _] if mode == Mode::Dev => (&["tls_cert"], Conflict::TlsInDev),
        _ => return None,
    })
}
