//! Where the Redis is, as one URL says it.
//!
//! | URL | what it is |
//! |---|---|
//! | `redis://[user:password@]host[:port][/db]`, `valkey://…`, `redis+unix:///path` | one server |
//! | `redis+cluster://[user:password@]host[:port][,host[:port]…]` | a Cluster, by some of its nodes |
//! | `redis+sentinel://[user:password@]host[:port][,host[:port]…]/name` | the primary that Redis Sentinels know by this name |
//!
//! `rediss://` and `valkeys://` are refused: this build has no TLS.

use redis::{ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use crate::error::OpenError;

/// Where the Redis is.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    One(ConnectionInfo),
    Cluster(Vec<ConnectionInfo>),
    Sentinel {
        /// The Sentinels themselves, which are asked without a password.
        sentinels: Vec<ConnectionInfo>,
        name: String,
        /// How to log in to the server that they name.
        login: RedisConnectionInfo,
    },
}

/// The ports that are meant where none is said.
const SENTINEL_PORT: u16 = 26_379;
const PORT: u16 = 6_379;

impl Address {
    /// From a URL.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let wrong = |why: &str| OpenError::InvalidUrl { url: hidden(url), why: why.into() };
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| wrong("it has no scheme, such as redis://"))?;
        match scheme {
            "redis" | "valkey" | "redis+unix" | "valkey+unix" | "unix" => {
                let info = url.into_connection_info();
                info.map(Self::One).map_err(|error| wrong(&error.to_string()))
            }
            "redis+cluster" | "valkey+cluster" => {
                let (login, hosts) = split_login(rest);
                let nodes = nodes(login, hosts.trim_end_matches('/'), PORT);
                nodes.map(Self::Cluster).map_err(|why| wrong(&why))
            }
            "redis+sentinel" | "valkey+sentinel" => {
                let (login, rest) = split_login(rest);
                let (hosts, name) = rest.split_once('/').unwrap_or((rest, ""));
                if name.is_empty() {
                    return Err(wrong("it does not say the name of the primary behind the hosts"));
                }
                let server = nodes(login, "localhost", PORT).map_err(|why| wrong(&why))?;
                let sentinels = nodes("", hosts, SENTINEL_PORT).map_err(|why| wrong(&why))?;
                let login = server[0].redis_settings().clone();
                Ok(Self::Sentinel { sentinels, name: name.to_owned(), login })
            }
            "rediss" | "valkeys" => {
                Err(wrong("this build has no TLS: use redis:// over a network that you trust"))
            }
            _ => {
                Err(wrong("the scheme is none of redis, redis+unix, redis+cluster, redis+sentinel"))
            }
        }
    }
}

/// A URL for messages, without its password.
fn hidden(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}***{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.to_owned(),
    }
}

/// `user:password@` and what follows.
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
