//! Which crate may import which. The direction of imports is the architecture, so a new
//! edge is a decision and gets a row here.

use serde_json::Value;

use super::Problem;

/// What a workspace crate may import from the workspace, in its code and in its tests.
#[derive(Debug)]
struct Room {
    name: &'static str,
    imports: &'static [&'static str],
    test_imports: &'static [&'static str],
}

const fn room(
    name: &'static str,
    imports: &'static [&'static str],
    test_imports: &'static [&'static str],
) -> Room {
    Room { name, imports, test_imports }
}

/// Tests may reach further: the engine is tested on a real store, clients on a real server.
const ROOMS: &[Room] = &[
    room("sentinel-proto", &[], &[]),
    // Knows nothing of what is thrown at: the targets are in the tests of the crates.
    room("sentinel-fuzz", &[], &[]),
    room("sentinel-domain", &[], &[]),
    room("sentinel-store", &["sentinel-domain"], &["sentinel-fuzz"]),
    room(
        "sentinel-store-embedded",
        &["sentinel-store", "sentinel-domain"],
        &["sentinel-faults", "sentinel-fuzz"],
    ),
    room("sentinel-store-redis", &["sentinel-store", "sentinel-domain"], &["sentinel-faults"]),
    room(
        "sentinel-ledger",
        &["sentinel-store", "sentinel-domain"],
        &["sentinel-store-embedded", "sentinel-faults"],
    ),
    room(
        "sentinel-engine",
        &["sentinel-store", "sentinel-domain", "sentinel-ledger"],
        &["sentinel-store-embedded", "sentinel-faults", "sentinel-fuzz", "sentinel-store-redis"],
    ),
    room(
        "sentinel-server",
        &[
            "sentinel-store",
            "sentinel-client",
            "sentinel-domain",
            "sentinel-store-embedded",
            "sentinel-engine",
            // Mounted where one process is to be all there is.
            "sentinel-gateway",
            "sentinel-ledger",
            "sentinel-proto",
            "sentinel-store-redis",
            "sentinel-worker",
        ],
        &["sentinel-faults", "sentinel-fuzz"],
    ),
    room("sentinel-faults", &[], &[]),
    room("sentinel-client", &["sentinel-proto"], &["sentinel-fuzz", "sentinel-server"]),
    // Judges the runtime of the SDK as any other: from outside.
    room("sentinel-conformance", &["sentinel-client", "sentinel-proto"], &[]),
    // For the tests of those who use the SDK; nothing else may depend on it.
    room("sentinel-testing", &["sentinel-client", "sentinel-server"], &[]),
    room(
        "sentinel-gateway",
        &["sentinel-client", "sentinel-proto"],
        &["sentinel-fuzz", "sentinel-testing"],
    ),
    room("sentinel-worker", &["sentinel-client", "sentinel-proto"], &["sentinel-server"]),
    room(
        "sentinel-bench",
        // It starts the stores that a server under measurement leans on.
        &["sentinel-client", "sentinel-faults", "sentinel-proto", "sentinel-worker"],
        &["sentinel-server"],
    ),
    room("xtask", &[], &[]),
    room("xtask-codegen", &[], &[]),
];

/// A library whose types must not travel, and the crates that may name it.
#[derive(Debug)]
struct Fence {
    library: &'static str,
    crates: &'static [&'static str],
    reason: &'static str,
}

const FENCES: &[Fence] = &[
    Fence {
        library: "tonic",
        crates: &[
            "sentinel-proto",
            "sentinel-client",
            "sentinel-conformance",
            "sentinel-gateway",
            "sentinel-server",
            "sentinel-bench",
        ],
        reason: "the wire ends at the server's services, at the gateway and at the SDK",
    },
    Fence {
        library: "tonic-types",
        crates: &["sentinel-client", "sentinel-gateway", "sentinel-server"],
        reason: "one table turns errors into statuses, one reads them back, and the gateway has \
                 refusals of its own",
    },
    Fence {
        library: "prost",
        crates: &[
            "sentinel-proto",
            "sentinel-client",
            "sentinel-conformance",
            "sentinel-server",
            "sentinel-bench",
            "sentinel-store",
            "sentinel-store-embedded",
            "sentinel-store-redis",
            "sentinel-ledger",
            "sentinel-engine",
            "xtask-codegen",
        ],
        reason: "the stored record is a protobuf: broker defines it, embedded, redis and ledger \
                 keep its bytes, engine hands them on; domain knows no encoding",
    },
    Fence {
        library: "diesel",
        crates: &["sentinel-store-embedded", "sentinel-ledger"],
        reason: "SQL types never leave the crate that owns the tables",
    },
    Fence {
        library: "diesel-async",
        crates: &["sentinel-ledger"],
        reason: "SQL types never leave the crate that owns the tables",
    },
    Fence {
        library: "libsqlite3-sys",
        crates: &["sentinel-store-embedded", "sentinel-ledger"],
        reason: "SQL types never leave the crate that owns the tables",
    },
    Fence {
        library: "redis",
        crates: &["sentinel-store-redis"],
        reason: "Redis types never leave the store built on it",
    },
    Fence {
        library: "bb8",
        crates: &["sentinel-store-redis"],
        reason: "Redis types never leave the store built on it",
    },
    Fence {
        library: "bb8-redis",
        crates: &["sentinel-store-redis"],
        reason: "Redis types never leave the store built on it",
    },
    Fence {
        library: "axum",
        crates: &["sentinel-gateway", "sentinel-server"],
        reason: "only the assembly and the gateway listen",
    },
    Fence {
        library: "anyhow",
        crates: &[
            "sentinel-server",
            "sentinel-gateway",
            "sentinel-worker",
            "sentinel-bench",
            "xtask",
            "xtask-codegen",
        ],
        reason: "libraries give errors that can be matched; only a main may drop the type",
    },
];

pub(super) fn check(packages: &Value) -> Vec<Problem> {
    let members = members(packages);
    let mut found = Vec::new();
    for package in &members {
        let name = text(&package["name"]);
        let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
            let what = "has no row in xtask/src/tidy/arrows.rs that says what it may import";
            found.push(Problem::failure(name, what));
            continue;
        };
        for dependency in list(&package["dependencies"]) {
            let target = text(&dependency["name"]);
            let tests_only = dependency["kind"] == "dev";
            if members.iter().any(|member| member["name"] == dependency["name"]) {
                found.extend(arrow(room, target, tests_only));
            } else if !tests_only {
                found.extend(fence(name, target));
            }
        }
    }
    found
}

fn arrow(room: &Room, target: &str, tests_only: bool) -> Option<Problem> {
    let allowed = room.imports.contains(&target)
        || (tests_only && (room.test_imports.contains(&target) || room.name == target));
    if allowed {
        return None;
    }
    let scope = if tests_only { "tests of it" } else { "it" };
    let imports =
        if room.imports.is_empty() { "nothing".to_owned() } else { room.imports.join(", ") };
    let what = format!("imports {target}; {scope} may import from the workspace: {imports}");
    Some(Problem::failure(room.name, what))
}

fn fence(name: &str, target: &str) -> Option<Problem> {
    let fence = FENCES.iter().find(|fence| fence.library == target)?;
    if fence.crates.contains(&name) {
        return None;
    }
    Some(Problem::failure(name, format!("depends on {target}, but {}", fence.reason)))
}

/// The packages of the workspace, out of all that were resolved.
pub(super) fn members(packages: &Value) -> Vec<&Value> {
    let ids = list(&packages["workspace_members"]);
    list(&packages["packages"]).iter().filter(|package| ids.contains(&package["id"])).collect()
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
