//! Checks the Redis that servers share.

use std::time::Duration;

use indicatif::HumanBytes;
use sentinel_engine::Clock;
use sentinel_store_redis::{Inspection, OpenError, RedisNode, inspect};

use super::finding::Finding;
use crate::config::SecretUrl;

/// Each commit takes at least one round trip.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(5);

/// Servers use the clock of Redis. A larger difference means that one of the clocks is wrong.
const CLOCK_SKEW_MAX_MS: i64 = 1_000;

/// The memory use that is worth a warning, in percent of maxmemory.
const MEMORY_WARNING_PERCENT: u64 = 70;

pub(super) async fn examine(url: &SecretUrl) -> Vec<Finding> {
    let clock = Clock::system();
    match inspect(url.reveal(), || clock.now()).await {
        Ok(inspection) => findings(&inspection),
        Err(error @ OpenError::InvalidUrl { .. }) => {
            vec![Finding::error("store", error.to_string(), "correct store_url")]
        }
        Err(error) => vec![Finding::error(
            "store",
            format!("{url}: {error}"),
            "start Redis or correct store_url; without it servers refuse all calls",
        )],
    }
}

fn findings(inspection: &Inspection) -> Vec<Finding> {
    let mut findings = vec![match inspection.position {
        Some(position) => Finding::ok("store", format!("journal position {position}")),
        None => Finding::warning(
            "store",
            "the store is empty: no server has used it yet",
            "start a server; if the store had data before, run `sentinel rebuild` first",
        ),
    }];
    findings.push(if inspection.round_trip < ROUND_TRIP_MAX {
        Finding::ok("store round trip", format!("{:?}", inspection.round_trip))
    } else {
        Finding::warning(
            "store round trip",
            format!("{:?}", inspection.round_trip),
            "run Redis closer to the servers: each commit waits for at least one round trip",
        )
    });
    let ahead_ms = inspection.clock_ahead_ms;
    findings.push(if ahead_ms.abs() < CLOCK_SKEW_MAX_MS {
        Finding::ok("store clock", format!("{ahead_ms} ms ahead of this machine"))
    } else {
        Finding::warning(
            "store clock",
            format!("{ahead_ms} ms ahead of this machine"),
            "synchronize both clocks with NTP: run_at, deadlines and leases use the clock of Redis",
        )
    });
    for node in inspection.nodes.iter().filter(|node| node.is_primary) {
        findings.extend([eviction(node), durability(node), memory(node), replicas(node)]);
    }
    findings
}

/// Adds the name of a cluster node to a message.
fn with_name(node: &RedisNode, text: impl std::fmt::Display) -> String {
    if node.name.is_empty() { text.to_string() } else { format!("{}: {text}", node.name) }
}

fn eviction(node: &RedisNode) -> Finding {
    let message = with_name(
        node,
        format!("version {}, maxmemory-policy {}", node.version, node.eviction_policy),
    );
    if node.eviction_policy == "noeviction" {
        return Finding::ok("store eviction", message);
    }
    let remedy = "set maxmemory-policy noeviction: other policies delete jobs, and servers refuse to \
                  start with them";
    Finding::error("store eviction", message, remedy)
}

fn durability(node: &RedisNode) -> Finding {
    let component = "store durability";
    match (node.aof_enabled, node.appendfsync.as_deref()) {
        (false, _) => Finding::error(
            component,
            with_name(node, "no append-only file"),
            "set appendonly yes: without it a restart of Redis loses all live jobs",
        ),
        (true, Some("always")) => Finding::ok(component, with_name(node, "appendfsync always")),
        (true, Some(when)) => Finding::warning(
            component,
            with_name(node, format!("appendfsync {when}")),
            "set appendfsync always: otherwise a crash of the machine loses up to 2 s of \
             acknowledged changes",
        ),
        (true, None) => Finding::warning(
            component,
            with_name(node, "append-only file, appendfsync is not readable"),
            "check that appendfsync is always",
        ),
    }
}

fn memory(node: &RedisNode) -> Finding {
    let component = "store memory";
    let used = HumanBytes(node.used_bytes);
    if node.max_bytes == 0 {
        let message = with_name(node, format!("{used} used, maxmemory is not set"));
        let remedy = "set maxmemory below the memory of the machine: servers then refuse new jobs \
                      before Redis runs out of memory";
        return Finding::warning(component, message, remedy);
    }
    let percent = node.used_bytes / (node.max_bytes / 100).max(1);
    let message = with_name(node, format!("{used} used, {percent} % of maxmemory"));
    if percent < MEMORY_WARNING_PERCENT {
        return Finding::ok(component, message);
    }
    Finding::warning(
        component,
        message,
        "raise maxmemory or add workers: at 85 % servers refuse new jobs",
    )
}

fn replicas(node: &RedisNode) -> Finding {
    let message = with_name(node, format!("{} replicas", node.replicas));
    if node.replicas > 0 {
        return Finding::ok("store replicas", message);
    }
    let remedy = "add a replica, unless live jobs may be lost with one machine";
    Finding::warning("store replicas", message, remedy)
}
