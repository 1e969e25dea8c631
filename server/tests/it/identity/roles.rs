//! Every call with every role and with every kind of invalid credential.

use std::path::Path;

use sentinel_client::proto::admin::v1::Role;
use tonic::Code;

use super::raw_call::{call, code_and_reason, connect, paths};
use super::{AuthServer, create_key_offline, key_id};
use crate::harness::{TIMEOUT, TestServer, wait_until};

const ROLES: [(char, Role); 5] = [
    ('v', Role::Viewer),
    ('o', Role::Operator),
    ('p', Role::Producer),
    ('w', Role::Worker),
    ('a', Role::Admin),
];

/// Returns the roles that may make a call, defined independently of the server's table.
fn allowed_roles(path: &str) -> &'static str {
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
        _ => panic!("add the roles that may call {path}"),
    }
}

/// Returns whether a call needs no key.
fn is_public(path: &str) -> bool {
    path.contains("grpc.health")
}

#[tokio::test]
async fn every_call_is_allowed_only_for_its_roles() {
    let auth = AuthServer::start(&[]).await;
    let channel = connect(&auth.server).await;
    for (letter, role) in ROLES {
        let bearer = format!("Bearer {}", auth.create_key(role, &[]).await);
        for path in paths() {
            let (code, reason) =
                code_and_reason(&call(&channel, &path, Vec::new(), Some(&bearer)).await);
            let is_refused = reason == "ROLE_NOT_ALLOWED";
            assert_eq!(
                is_refused,
                !allowed_roles(&path).contains(letter),
                "{role:?} {path} {code:?} {reason}"
            );
            assert_eq!(is_refused, code == Code::PermissionDenied, "{role:?} {path} {reason}");
            assert_ne!(code, Code::Unauthenticated, "{role:?} {path} {reason}");
        }
    }
}

#[tokio::test]
async fn every_call_refuses_invalid_credentials() {
    let auth = AuthServer::start(&[]).await;
    let channel = connect(&auth.server).await;
    let good = auth.create_key(Role::Admin, &[]).await;
    let revoked = auth.create_key(Role::Admin, &[]).await;
    auth.client(&auth.root_key).revoke_key(key_id(&revoked)).await.expect("revoke the key");
    let data = auth.server.dir.path().join("data");
    let flags = ["--name", "x", "--role", "admin", "--expires", "1ms"];
    let expired = create_key_offline(&data, &flags).await;
    wait_until("the server has loaded the expired key", TIMEOUT, || async {
        let bearer = format!("Bearer {expired}");
        let path = "/sentinel.jobs.v1.JobService/List";
        let found = call(&channel, path, Vec::new(), Some(&bearer)).await;
        (code_and_reason(&found).1 == "CREDENTIAL_EXPIRED").then_some(())
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
        (Some(format!("Bearer snt_{}_{}", key_id(&revoked), "0".repeat(64))), "CREDENTIAL_INVALID"),
        (Some(format!("Bearer {revoked}")), "CREDENTIAL_REVOKED"),
        (Some(format!("Bearer {expired}")), "CREDENTIAL_EXPIRED"),
    ];
    for path in paths() {
        for (header, expected) in &bad {
            let found =
                code_and_reason(&call(&channel, &path, Vec::new(), header.as_deref()).await);
            match is_public(&path) {
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
    assert_eq!(code_and_reason(&unknown.await).0, Code::Unimplemented);
    let secrets = [&auth.root_key, &good, &revoked, &expired];
    assert_no_secret_in(&auth.server.log(), &secrets);
    assert_no_secret_under(&data, &secrets);
}

fn assert_no_secret_in(text: &str, keys: &[&String]) {
    assert!(!text.is_empty());
    for key in keys {
        let secret = key.rsplit('_').next().expect("a secret");
        assert!(
            !text.contains(secret) && !text.contains(&secret[..32]),
            "the text contains a secret"
        );
    }
}

/// Asserts that no file under a directory contains a secret, as text or as bytes.
fn assert_no_secret_under(dir: &Path, keys: &[&String]) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            assert_no_secret_under(&path, keys);
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
async fn a_server_without_credentials_allows_all_calls_except_key_management() {
    let server = TestServer::start().await;
    let channel = connect(&server).await;
    for path in paths() {
        let found = code_and_reason(&call(&channel, &path, Vec::new(), None).await);
        let needs_key = path.contains("KeyService") || path.contains("AuditService");
        assert_eq!(found.1 == "CREDENTIAL_MISSING", needs_key, "{path} {found:?}");
        // A key that is sent is checked anyway.
        let found = code_and_reason(&call(&channel, &path, Vec::new(), Some("Bearer snt_")).await);
        assert_eq!(found.1 == "CREDENTIAL_INVALID", !is_public(&path), "{path} {found:?}");
    }
}
