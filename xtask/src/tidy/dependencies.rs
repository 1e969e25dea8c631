//! Which crate may depend on which, and which crates may name a library. The direction of
//! dependencies is the architecture: a new one needs a row here.

use serde_json::Value;

use super::Problem;

/// The workspace crates that a crate may depend on, in its code and in its tests.
#[derive(Debug)]
struct Crate {
    name: &'static str,
    imports: &'static [&'static str],
    test_imports: &'static [&'static str],
}

const fn allow(
    name: &'static str,
    imports: &'static [&'static str],
    test_imports: &'static [&'static str],
) -> Crate {
    Crate { name, imports, test_imports }
}

/// Tests may depend on more: the engine is tested on real stores, clients on a real server.
const CRATES: &[Crate] = &[
    allow("sentinel-proto", &[], &[]),
    // The fuzz targets are in the tests of the crates that they test.
    allow("sentinel-fuzz", &[], &[]),
    allow("sentinel-domain", &[], &[]),
    allow("sentinel-store", &["sentinel-domain"], &["sentinel-fuzz"]),
    allow(
        "sentinel-store-embedded",
        &["sentinel-store", "sentinel-domain"],
        &["sentinel-faults", "sentinel-fuzz"],
    ),
    allow("sentinel-store-redis", &["sentinel-store", "sentinel-domain"], &["sentinel-faults"]),
    allow(
        "sentinel-ledger",
        &["sentinel-store", "sentinel-domain"],
        &["sentinel-store-embedded", "sentinel-faults"],
    ),
    allow(
        "sentinel-engine",
        &["sentinel-store", "sentinel-domain", "sentinel-ledger"],
        &["sentinel-store-embedded", "sentinel-faults", "sentinel-fuzz", "sentinel-store-redis"],
    ),
    allow(
        "sentinel-server",
        &[
            "sentinel-store",
            "sentinel-client",
            "sentinel-domain",
            "sentinel-store-embedded",
            "sentinel-engine",
            // `sentinel dev` and `gateway_listen` mount the gateway in the server.
            "sentinel-gateway",
            "sentinel-ledger",
            "sentinel-proto",
            "sentinel-store-redis",
            "sentinel-worker",
        ],
        &["sentinel-faults", "sentinel-fuzz"],
    ),
    allow("sentinel-faults", &[], &[]),
    allow("sentinel-client", &["sentinel-proto"], &["sentinel-fuzz", "sentinel-server"]),
    // Judges worker processes, not the library.
    allow("sentinel-conformance", &["sentinel-client", "sentinel-proto"], &[]),
    // For tests of applications; no crate here depends on it.
    allow("sentinel-testing", &["sentinel-client", "sentinel-server"], &[]),
    allow(
        "sentinel-gateway",
        &["sentinel-client", "sentinel-proto"],
        &["sentinel-fuzz", "sentinel-testing"],
    ),
    allow("sentinel-worker", &["sentinel-client", "sentinel-proto"], &["sentinel-server"]),
    allow(
        "sentinel-bench",
        // Starts the stores of the measured server.
        &["sentinel-client", "sentinel-faults", "sentinel-proto", "sentinel-worker"],
        &["sentinel-server"],
    ),
    allow("xtask", &[], &[]),
    allow("xtask-codegen", &[], &[]),
];

/// A library whose types must stay within these crates.
#[derive(Debug)]
struct Restricted {
    library: &'static str,
    crates: &'static [&'static str],
    reason: &'static str,
}

const RESTRICTED: &[Restricted] = &[
    Restricted {
        library: "tonic",
        crates: &[
            "sentinel-proto",
            "sentinel-client",
            "sentinel-conformance",
            "sentinel-gateway",
            "sentinel-server",
            "sentinel-bench",
        ],
        reason: "wire types stay in the services of the server, the gateway and the SDK",
    },
    Restricted {
        library: "tonic-types",
        crates: &[
            "sentinel-proto",
            "sentinel-client",
            "sentinel-conformance",
            "sentinel-gateway",
            "sentinel-server",
        ],
        reason: "one table maps errors to statuses and one maps them back; the gateway, the codec \
                 and scripted servers have errors of their own",
    },
    Restricted {
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
        reason: "the stored record is a protobuf message; the domain has no encoding",
    },
    Restricted {
        library: "diesel",
        crates: &["sentinel-store-embedded", "sentinel-ledger"],
        reason: "SQL types never leave the crate that owns the tables",
    },
    Restricted {
        library: "diesel-async",
        crates: &["sentinel-ledger"],
        reason: "SQL types never leave the crate that owns the tables",
    },
    Restricted {
        library: "libsqlite3-sys",
        crates: &["sentinel-store-embedded", "sentinel-ledger"],
        reason: "SQL types never leave the crate that owns the tables",
    },
    Restricted {
        library: "redis",
        crates: &["sentinel-store-redis"],
        reason: "Redis types never leave the store built on it",
    },
    Restricted {
        library: "bb8",
        crates: &["sentinel-store-redis"],
        reason: "Redis types never leave the store built on it",
    },
    Restricted {
        library: "bb8-redis",
        crates: &["sentinel-store-redis"],
        reason: "Redis types never leave the store built on it",
    },
    Restricted {
        library: "axum",
        crates: &["sentinel-gateway", "sentinel-server"],
        reason: "only the assembly and the gateway listen",
    },
    Restricted {
        library: "anyhow",
        crates: &[
            "sentinel-server",
            "sentinel-gateway",
            "sentinel-worker",
            "sentinel-bench",
            "xtask",
            "xtask-codegen",
        ],
        reason: "libraries return errors that callers can match; only programs erase the type",
    },
];

pub(super) fn check(packages: &Value) -> Vec<Problem> {
    let members = members(packages);
    let mut found = Vec::new();
    for package in &members {
        let name = text(&package["name"]);
        let Some(allowed) = CRATES.iter().find(|row| row.name == name) else {
            let what = "has no row in xtask/src/tidy/dependencies.rs that says what it may import";
            found.push(Problem::failure(name, what));
            continue;
        };
        for dependency in list(&package["dependencies"]) {
            let target = text(&dependency["name"]);
            let tests_only = dependency["kind"] == "dev";
            if members.iter().any(|member| member["name"] == dependency["name"]) {
                found.extend(violation(allowed, target, tests_only));
            } else if !tests_only {
                found.extend(restricted(name, target));
            }
        }
    }
    found
}

fn violation(allowed: &Crate, target: &str, tests_only: bool) -> Option<Problem> {
    let is_allowed = allowed.imports.contains(&target)
        || (tests_only && (allowed.test_imports.contains(&target) || allowed.name == target));
    if is_allowed {
        return None;
    }
    let scope = if tests_only { "tests of it" } else { "it" };
    let imports =
        if allowed.imports.is_empty() { "nothing".to_owned() } else { allowed.imports.join(", ") };
    let what = format!("imports {target}; {scope} may import from the workspace: {imports}");
    Some(Problem::failure(allowed.name, what))
}

fn restricted(name: &str, target: &str) -> Option<Problem> {
    let rule = RESTRICTED.iter().find(|rule| rule.library == target)?;
    if rule.crates.contains(&name) {
        return None;
    }
    Some(Problem::failure(name, format!("depends on {target}, but {}", rule.reason)))
}

/// The packages of the workspace.
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
