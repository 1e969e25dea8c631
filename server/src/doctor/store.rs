//! The Redis of an installation.

use std::time::Duration;

use indicatif::HumanBytes;
use sentinel_engine::Clock;
use sentinel_store_redis::{Inspection, Node, OpenError, inspect};

use super::Finding;
use crate::config::StoreUrl;

/// A group commit takes at least a round trip.
const FAR: Duration = Duration::from_millis(5);

/// Servers follow the clock of Redis; one that is so far off is set wrong.
const CLOCK_OFF_MS: i64 = 1_000;

/// New jobs are refused beyond this share of the memory, in percent.
const SHORT_PERCENT: u64 = 70;

pub(super) async fn examine(url: &StoreUrl) -> Vec<Finding> {
    let clock = Clock::system();
    match inspect(url.reveal(), || clock.now()).await {
        Ok(found) => judge(&found),
        Err(error @ OpenError::Address { .. }) => {
            vec![Finding::bad("store", error.to_string(), "correct store_url")]
        }
        Err(error) => vec![Finding::bad(
            "store",
            format!("{url}: {error}"),
            "start Redis, or correct store_url; servers refuse every call without it",
        )],
    }
}

fn judge(found: &Inspection) -> Vec<Finding> {
    let mut findings = vec![match found.at {
        Some(at) => Finding::ok("store", format!("its journal is at {at}")),
        None => Finding::warn(
            "store",
            "no server has begun a store there",
            "start a server; if there was a store, run sentinel rebuild first",
        ),
    }];
    findings.push(if found.round_trip < FAR {
        Finding::ok("store round trip", format!("{:?}", found.round_trip))
    } else {
        Finding::warn(
            "store round trip",
            format!("{:?}", found.round_trip),
            "move Redis near to the servers: each commit waits for it at least once",
        )
    });
    let ahead_ms = found.clock_ahead_ms;
    findings.push(if ahead_ms.abs() < CLOCK_OFF_MS {
        Finding::ok("store clock", format!("{ahead_ms} ms ahead of this machine"))
    } else {
        Finding::warn(
            "store clock",
            format!("{ahead_ms} ms ahead of this machine"),
            "run NTP on both: run_at, deadlines and leases follow the clock of Redis",
        )
    });
    for node in found.nodes.iter().filter(|node| node.is_primary) {
        findings.extend([eviction(node), durability(node), memory(node), replicas(node)]);
    }
    findings
}

fn named(node: &Node, text: impl std::fmt::Display) -> String {
    if node.name.is_empty() { text.to_string() } else { format!("{}: {text}", node.name) }
}

fn eviction(node: &Node) -> Finding {
    let found =
        named(node, format!("version {}, maxmemory-policy {}", node.version, node.eviction));
    if node.eviction == "noeviction" {
        return Finding::ok("store eviction", found);
    }
    let remedy =
        "set maxmemory-policy noeviction: any other one forgets jobs, and servers refuse it";
    Finding::bad("store eviction", found, remedy)
}

fn durability(node: &Node) -> Finding {
    let about = "store durability";
    match (node.is_kept, node.appends.as_deref()) {
        (false, _) => Finding::bad(
            about,
            named(node, "no append-only file"),
            "set appendonly yes: without it a restart of Redis loses every job in work",
        ),
        (true, Some("always")) => Finding::ok(about, named(node, "appendfsync always")),
        (true, Some(when)) => Finding::warn(
            about,
            named(node, format!("appendfsync {when}")),
            "set appendfsync always: up to 2 s of what was acknowledged are lost when the machine \
             of Redis fails",
        ),
        (true, None) => Finding::warn(
            about,
            named(node, "an append-only file; appendfsync is not told"),
            "see that appendfsync is always",
        ),
    }
}

fn memory(node: &Node) -> Finding {
    let about = "store memory";
    let used = HumanBytes(node.used_bytes);
    if node.max_bytes == 0 {
        let found = named(node, format!("{used} in use, maxmemory is not set"));
        let remedy = "set maxmemory below the memory of the machine: then new jobs are refused \
                      in time, where Redis would be killed";
        return Finding::warn(about, found, remedy);
    }
    let percent = node.used_bytes / (node.max_bytes / 100).max(1);
    let found = named(node, format!("{used}, {percent} % of maxmemory"));
    if percent < SHORT_PERCENT {
        return Finding::ok(about, found);
    }
    Finding::warn(about, found, "raise maxmemory, or start workers: at 85 % new jobs are refused")
}

fn replicas(node: &Node) -> Finding {
    let found = named(node, format!("{} replicas", node.replicas));
    if node.replicas > 0 {
        return Finding::ok("store replicas", found);
    }
    let remedy = "add a replica where the loss of one machine must not lose jobs in work";
    Finding::warn("store replicas", found, remedy)
}
