//! The URL of Redis.
//!
//! | URL | topology |
//! |---|---|
//! | `redis://[user:password@]host[:port][/db]`, `valkey://…`, `redis+unix:///path` | one server |
//! | `redis+cluster://[user:password@]host[:port][,host[:port]…]` | a Cluster, by some nodes |
//! | `redis+sentinel://[user:password@]host[:port][,host[:port]…]/name` | a primary, by its name in Sentinels |
//!
//! `rediss://` and `valkeys://` are refused, because this build does not support TLS.

use redis::{ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use crate::error::OpenError;

/// A parsed URL.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    One(ConnectionInfo),
    Cluster(Vec<ConnectionInfo>),
    Sentinel {
        /// The addresses of the Sentinels. The connections to them use no password.
        sentinels: Vec<ConnectionInfo>,
        name: String,
        /// The login for the primary.
        login: RedisConnectionInfo,
    },
}

/// The default ports.
const SENTINEL_PORT: u16 = 26_379;
const PORT: u16 = 6_379;

impl Address {
    /// Parses a URL.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let invalid = |reason: &str| OpenError::InvalidUrl {
            url: without_password(url),
            reason: reason.into(),
        };
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| invalid("it has no scheme such as redis://"))?;
        match scheme {
            "redis" | "valkey" | "redis+unix" | "valkey+unix" | "unix" => {
                let info = url.into_connection_info();
                info.map(Self::One).map_err(|error| invalid(&error.to_string()))
            }
            "redis+cluster" | "valkey+cluster" => {
                let (login, hosts) = split_login(rest);
                let nodes = nodes(login, hosts.trim_end_matches('/'), PORT);
                nodes.map(Self::Cluster).map_err(|reason| invalid(&reason))
            }
            "redis+sentinel" | "valkey+sentinel" => {
                let (login, rest) = split_login(rest);
                let (hosts, name) = rest.split_once('/').unwrap_or((rest, ""));
                if name.is_empty() {
                    return Err(invalid("the name of the primary after the hosts is missing"));
                }
                let server = nodes(login, "localhost", PORT).map_err(|reason| invalid(&reason))?;
                let sentinels =
                    nodes("", hosts, SENTINEL_PORT).map_err(|reason| invalid(&reason))?;
                let login = server[0].redis_settings().clone();
                Ok(Self::Sentinel { sentinels, name: name.to_owned(), login })
            }
            "rediss" | "valkeys" => {
                Err(invalid("this build has no TLS: use redis:// over a trusted network"))
            }
            _ => Err(invalid(
                "the scheme must be redis, redis+unix, redis+cluster, or redis+sentinel",
            )),
        }
    }
}

/// Hides the login of a URL in messages.
fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}***{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.to_owned(),
    }
}

/// Splits off `user:password@`.
fn split_login(rest: &str) -> (&str, &str) {
    match rest.rfind('@') {
        Some(at) => rest.split_at(at + 1),
        None => ("", rest),
    }
}

fn nodes(login: &str, hosts: &str, port: u16) -> Result<Vec<ConnectionInfo>, String> {
    let node = |host: &str| {
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if has_port { String::new() } else { format!(":{port}") };
        let url = format!("redis://{login}{host}{port}");
        url.into_connection_info().map_err(|error| error.to_string())
    };
    hosts.split(',').map(node).collect()
}

#[cfg(test)]
mod tests;
