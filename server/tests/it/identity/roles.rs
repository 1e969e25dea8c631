//! Every call with every role, and with every credential that is none.

use std::path::Path;

use sentinel_client::proto::admin::v1::Role;
use tonic::Code;

use super::call::{call, connect, paths, told};
use super::{Guarded, id_of, offline_key};
use crate::harness::{PATIENCE, World, until};

const ROLES: [(char, Role); 5] = [
    ('v', Role::Viewer),
    ('o', Role::Operator),
    ('p', Role::Producer),
    ('w', Role::Worker),
    ('a', Role::Admin),
];

/// Who may make a call: said here once more, by other means than the table of the server.
fn allowed(path: &str) -> &'static str {
    let (service, method) = path.rsplit_once('/').expect("a path");
    match (service.rsplit_once('.').expect("a package").1, method) {
        ("JobService", "Enqueue" | "EnqueueBatch") => "pa",
        ("JobService", "Get" | "BatchGet" | "List" | "ListAttempts" | "Counts") => "vopa",
        ("JobService", "Watch" | "ReadLogs" | "ReadOutput") => "vopa",
        ("JobService", "Cancel") => "opa",
        ("JobService", "Retry" | "RunNow" | "Update" | "Delete" | "Bulk") => "oa",
        ("IngestService", "Ingest") => "pa",
        ("WorkerService", "Session") => "wa",
        ("QueueService", "CreateQueue") => "oa",
        ("QueueService", "GetQueue" | "ListQueues") => "vopa",
        ("QueueService", "UpdateQueue" | "PauseQueue" | "ResumeQueue" | "DrainQueue") => "oa",
        ("KindService", "ListKinds" | "GetKind") => "vopa",
        ("WorkerRegistryService", "ListWorkers") => "vopa",
        ("WorkerRegistryService", "DrainWorker") => "oa",
        ("KeyService", "CreateKey" | "ListKeys" | "RevokeKey") => "a",
        ("AuditService", "ListAuditEntries") => "oa",
        ("Health" | "ServerReflection", _) => "vopwa",
        _ => panic!("say here who may call {path}"),
    }
}

fn is_open(path: &str) -> bool {
    path.contains("grpc.health")
}

#[tokio::test]
async fn every_call_is_for_the_roles_of_the_table() {
    let guarded = Guarded::start(&[]).await;
    let channel = connect(&guarded.world).await;
    for (letter, role) in ROLES {
        let bearer = format!("Bearer {}", guarded.key(role, &[]).await);
        for path in paths() {
            let (code, reason) = told(&call(&channel, &path, Vec::new(), Some(&bearer)).await);
            let is_refused = reason == "ROLE_NOT_ALLOWED";
            assert_eq!(
                is_refused,
                !allowed(&path).contains(letter),
                "{role:?} {path} {code:?} {reason}"
            );
            assert_eq!(is_refused, code == Code::PermissionDenied, "{role:?} {path} {reason}");
            assert_ne!(code, Code::Unauthenticated, "{role:?} {path} {reason}");
        }
    }
}

#[tokio::test]
async fn no_call_takes_a_credential_that_is_none() {
    let guarded = Guarded::start(&[]).await;
    let channel = connect(&guarded.world).await;
    let good = guarded.key(Role::Admin, &[]).await;
    let revoked = guarded.key(Role::Admin, &[]).await;
    guarded.client(&guarded.root).revoke_key(id_of(&revoked)).await.expect("revoked");
    let data = guarded.world.dir.path().join("data");
    let flags = ["--name", "x", "--role", "admin", "--expires", "1ms"];
    let expired = offline_key(&data, &flags).await;
    until("the server knows the key that has expired", PATIENCE, || async {
        let bearer = format!("Bearer {expired}");
        let path = "/sentinel.jobs.v1.JobService/List";
        let found = call(&channel, path, Vec::new(), Some(&bearer)).await;
        (told(&found).1 == "CREDENTIAL_EXPIRED").then_some(())
    })
    .await;
    let swapped = |at: usize| {
        let mut text = good.clone().into_bytes();
        text[at] = if text[at] == b'0' { b'1' } else { b'0' };
        String::from_utf8(text).expect("text")
    };
    let bad: Vec<(Option<String>, &str)> = vec![
        (None, "CREDENTIAL_MISSING"),
        (Some(String::new()), "CREDENTIAL_INVALID"),
        (Some(format!("Basic {good}")), "CREDENTIAL_INVALID"),
        (Some(good.clone()), "CREDENTIAL_INVALID"),
        (Some(format!("Bearer {}", &good[..good.len() - 1])), "CREDENTIAL_INVALID"),
        (Some(format!("Bearer {good}0")), "CREDENTIAL_INVALID"),
        (Some(format!("Bearer {}", good.to_uppercase())), "CREDENTIAL_INVALID"),
        (Some(format!("Bearer {}", swapped(4))), "CREDENTIAL_INVALID"),
        (Some(format!("Bearer {}", swapped(good.len() - 1))), "CREDENTIAL_INVALID"),
        (Some(format!("Bearer snt_{}_{}", id_of(&revoked), "0".repeat(64))), "CREDENTIAL_INVALID"),
        (Some(format!("Bearer {revoked}")), "CREDENTIAL_REVOKED"),
        (Some(format!("Bearer {expired}")), "CREDENTIAL_EXPIRED"),
    ];
    for path in paths() {
        for (header, expected) in &bad {
            let found = told(&call(&channel, &path, Vec::new(), header.as_deref()).await);
            match is_open(&path) {
                true => assert_ne!(found.0, Code::Unauthenticated, "{path} {header:?}"),
                false => {
                    assert_eq!(
                        found,
                        (Code::Unauthenticated, (*expected).to_owned()),
                        "{path} {header:?}"
                    );
                }
            }
        }
    }
    let bearer = format!("Bearer {good}");
    let unknown = call(&channel, "/sentinel.jobs.v1.JobService/Nothing", Vec::new(), Some(&bearer));
    assert_eq!(told(&unknown.await).0, Code::Unimplemented);
    let secrets = [&guarded.root, &good, &revoked, &expired];
    no_secret_in(&guarded.world.server.log(), &secrets);
    no_secret_under(&data, &secrets);
}

fn no_secret_in(text: &str, keys: &[&String]) {
    assert!(!text.is_empty());
    for key in keys {
        let secret = key.rsplit('_').next().expect("a secret");
        assert!(!text.contains(secret) && !text.contains(&secret[..32]), "a secret is told");
    }
}

/// Nor in any file of the server, as text or as bytes.
fn no_secret_under(dir: &Path, keys: &[&String]) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            no_secret_under(&path, keys);
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        for key in keys {
            let secret = key.rsplit('_').next().expect("a secret");
            let pairs = secret.as_bytes().chunks_exact(2);
            let raw: Vec<u8> = pairs
                .map(|pair| std::str::from_utf8(pair).expect("digits"))
                .map(|pair| u8::from_str_radix(pair, 16).expect("digits"))
                .collect();
            for part in [secret.as_bytes(), &raw] {
                let found = bytes.windows(part.len()).any(|window| window == part);
                assert!(!found, "a secret is in {}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn an_open_server_takes_calls_without_a_key_but_manages_none() {
    let world = World::start().await;
    let channel = connect(&world).await;
    for path in paths() {
        let found = told(&call(&channel, &path, Vec::new(), None).await);
        let needs_key = path.contains("KeyService") || path.contains("AuditService");
        assert_eq!(found.1 == "CREDENTIAL_MISSING", needs_key, "{path} {found:?}");
        // A key that is sent is checked all the same.
        let found = told(&call(&channel, &path, Vec::new(), Some("Bearer snt_")).await);
        assert_eq!(found.1 == "CREDENTIAL_INVALID", !is_open(&path), "{path} {found:?}");
    }
}
