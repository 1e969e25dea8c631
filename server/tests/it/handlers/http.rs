//! `http.request`: what is sent, what comes of the answers, and what is never reached.

use std::time::Duration;

use sentinel_client::proto::jobs::v1::{CancelOutcome, JobState};
use sentinel_client::{Client, NewJob};
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::{failure_of, job, log_with, result_of};
use crate::harness::{PATIENCE, Worker, World, end_of, enqueue, until};

fn request(payload: Value) -> NewJob {
    job("http.request", &payload, 2)
}

/// A world whose worker may reach this one address of the machine.
async fn world() -> (World, Worker, Client, Endpoint) {
    let world = World::start().await;
    let secret = world.dir.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef").expect("write");
    let secret = format!("shop=file:{}", secret.display());
    let worker = world.worker("w1", &["--http-allow", "127.0.0.1", "--http-secret", &secret]).await;
    let client = world.client();
    (world, worker, client, Endpoint::listen().await)
}

#[tokio::test]
async fn a_request_carries_its_job_and_its_signature() {
    let (_world, _worker, client, endpoint) = world().await;
    let job = request(json!({
        "url": endpoint.url("/echo?q=1#f"), "method": "PUT", "body": "hello",
        "headers": {"X-Own": "v", "Content-Type": "text/plain"}, "signature_secret": "shop",
    }));
    let id = enqueue(&client, job).await;
    let ended = end_of(&client, &id).await;
    assert_eq!(ended.state(), JobState::Succeeded, "{:?}", ended.error);
    let result: Value = serde_json::from_slice(&ended.result).expect("JSON");
    assert_eq!((&result["status"], &result["body"]), (&json!(201), &json!("hello")));
    assert_eq!((&result["truncated"], &result["redirects"]), (&json!(false), &json!(0)));
    assert_eq!(result["headers"]["x-answer"], "yes");
    let seen = endpoint.seen().remove(0);
    assert_eq!((seen.method.as_str(), &seen.body[..]), ("PUT", &b"hello"[..]));
    assert_eq!((seen.header("x-own"), seen.header("content-type")), ("v", "text/plain"));
    assert_eq!(seen.header("host"), endpoint.address.to_string());
    assert_eq!(seen.header("idempotency-key"), format!("{id}/1/1"));
    assert_eq!((seen.header("sentinel-job"), seen.header("content-length")), (id.as_str(), "5"));
    let sent_s: u64 = seen.header("sentinel-timestamp").parse().expect("seconds");
    assert!(sent_s > 1_700_000_000);
    let digits = seen.header("sentinel-signature").strip_prefix("v1=").expect("a version");
    assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let log = log_with(&client, &id, &["PUT http://127.0.0.1", "answered 201 Created in "]).await;
    assert!(log[0].ends_with("/echo, 5 bytes"), "{log:?}");
}

#[tokio::test]
async fn the_status_decides_about_the_next_attempt() {
    let (_world, _worker, client, endpoint) = world().await;
    let result = result_of(&client, request(json!({"url": endpoint.url("/flaky")}))).await;
    assert_eq!(result["body"], "now");
    let keys: Vec<String> =
        endpoint.seen().iter().map(|seen| seen.header("idempotency-key").to_owned()).collect();
    assert!(keys[0].ends_with("/1/1") && keys[1].ends_with("/1/2"), "{keys:?}");
    for (status, code, attempts) in
        [(404, "HTTP_404", 1), (500, "HTTP_500", 2), (429, "HTTP_429", 2), (304, "HTTP_304", 1)]
    {
        let job = request(json!({"url": endpoint.url(&format!("/status/{status}"))}));
        let (error, made) = failure_of(&client, job).await;
        assert_eq!((error.code.as_str(), made), (code, attempts), "{}", error.message);
    }
    let own = json!({"url": endpoint.url("/status/404"), "retry_statuses": [404]});
    assert_eq!(failure_of(&client, request(own)).await.1, 2);
    // Nobody listens on the discard port.
    let (error, made) = failure_of(&client, request(json!({"url": "http://127.0.0.1:9"}))).await;
    assert_eq!((error.code.as_str(), made), ("HTTP_CONNECT", 2), "{}", error.message);
    let (error, made) = failure_of(&client, request(json!({"url": "http://no.invalid"}))).await;
    assert_eq!((error.code.as_str(), made), ("HTTP_LOOK_UP", 2), "{}", error.message);
}

#[tokio::test]
async fn long_answers_are_cut_and_slow_ones_given_up() {
    let (_world, _worker, client, endpoint) = world().await;
    let url = endpoint.url("/big/600000");
    let result = result_of(&client, request(json!({"url": url}))).await;
    assert_eq!(result["truncated"], true);
    assert_eq!(result["body"].as_str().map(str::len), Some(256 << 10));
    let job = request(json!({"url": endpoint.url("/big/9"), "max_response_bytes": 9}));
    let result = result_of(&client, job).await;
    assert_eq!((&result["truncated"], &result["body"]), (&json!(false), &json!("x".repeat(9))));
    let job = request(json!({"url": endpoint.url("/hang"), "timeout_ms": 50}));
    let (error, made) = failure_of(&client, job).await;
    assert_eq!((error.code.as_str(), made), ("HTTP_TIMEOUT", 2), "{}", error.message);
}

#[tokio::test]
async fn closed_targets_are_refused_in_every_notation() {
    let (world, _worker, client, endpoint) = world().await;
    let port = endpoint.address.port();
    let refused = async |client: &Client, url: String, what: &str| {
        let (error, made) = failure_of(client, request(json!({"url": url}))).await;
        assert_eq!((error.code.as_str(), made), ("TARGET_REFUSED", 1), "{url}: {}", error.message);
        assert!(error.message.contains(what), "{url}: {}", error.message);
    };
    for (host, what) in [
        ("127.0.0.2", "loopback"),
        ("2130706434", "127.0.0.2"),
        ("0x7f.2", "127.0.0.2"),
        ("0177.0.0.2", "127.0.0.2"),
        ("10.0.0.1", "private"),
        ("192.168.1.1", "private"),
        ("172.16.0.1", "private"),
        ("169.254.169.254", "link-local"),
        ("100.64.0.1", "CGNAT"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("0.0.0.0", "this host"),
        ("[::1]", "loopback"),
        ("[::]", "this host"),
        // The address itself is allowed; in this form it is not.
        ("[::ffff:127.0.0.1]", "mapped"),
        ("[::ffff:7f00:1]", "mapped"),
        ("[::127.0.0.1]", "embedded"),
        ("[64:ff9b::7f00:1]", "NAT64"),
        ("[fd00::1]", "ULA"),
        ("[fe80::1]", "link-local"),
        ("[ff02::1]", "multicast"),
    ] {
        refused(&client, format!("http://{host}:{port}/echo"), what).await;
    }
    assert!(endpoint.seen().is_empty());
    // Other queues for workers that allow other things.
    let served = |queue: &str, job: NewJob| {
        let mut spec = job.into_spec();
        queue.clone_into(&mut spec.queue);
        NewJob::from(spec)
    };
    let local = format!("http://localhost:{port}/echo");
    let _closed = world.worker("w2", &["--queues", "closed"]).await;
    let job = served("closed", request(json!({"url": local})));
    let (error, made) = failure_of(&client, job).await;
    assert_eq!((error.code.as_str(), made), ("TARGET_REFUSED", 1), "{}", error.message);
    assert!(error.message.contains("localhost is at "), "{}", error.message);
    let _named = world.worker("w3", &["--queues", "named", "--http-allow", "localhost"]).await;
    let job = served("named", request(json!({"url": local})));
    assert_eq!(result_of(&client, job).await["status"], 201);
    let job = served("named", request(json!({"url": endpoint.url("/echo")})));
    assert_eq!(failure_of(&client, job).await.0.code, "TARGET_REFUSED");
}

#[tokio::test]
async fn redirects_are_judged_like_targets() {
    let (_world, _worker, client, endpoint) = world().await;
    let other = Endpoint::listen().await;
    let to = |code: u16, target: &str| endpoint.url(&format!("/to/{code}?{target}"));
    let payload = |url: String| {
        json!({
            "url": url, "body": "b", "signature_secret": "shop",
            "headers": {"Authorization": "Bearer t", "X-Api-Key": "k", "Content-Type": "a/b"},
        })
    };
    // The same origin keeps everything; another one gets the body and no credentials.
    let job = request(payload(to(307, &endpoint.url("/echo"))));
    assert_eq!(result_of(&client, job).await["redirects"], 1);
    let near = endpoint.seen().pop().expect("a request");
    assert_eq!((near.path.as_str(), near.header("authorization")), ("/echo", "Bearer t"));
    assert!(near.header("sentinel-signature").starts_with("v1="));
    let job = request(payload(to(307, &other.url("/echo"))));
    assert_eq!(result_of(&client, job).await["url"], other.url("/echo"));
    let far = other.seen().pop().expect("a request");
    assert_eq!((&far.body[..], far.header("content-type")), (&b"b"[..], "a/b"));
    for name in ["authorization", "x-api-key", "sentinel-signature", "sentinel-timestamp"] {
        assert_eq!(far.header(name), "", "{name}");
    }
    // A 303 turns into a GET without body.
    result_of(&client, request(payload(to(303, "/echo")))).await;
    let turned = endpoint.seen().pop().expect("a request");
    assert_eq!((turned.method.as_str(), turned.body.len()), ("GET", 0));
    let port = endpoint.address.port();
    for (target, code, part) in [
        (format!("http://127.0.0.2:{port}/echo"), "TARGET_REFUSED", "loopback"),
        (format!("http://2130706434:{port}/echo"), "TARGET_REFUSED", "loopback"),
        (format!("http://[::ffff:127.0.0.1]:{port}/"), "TARGET_REFUSED", "mapped"),
        ("http://169.254.169.254/latest/meta-data".to_owned(), "TARGET_REFUSED", "link-local"),
        ("file:///etc/passwd".to_owned(), "HTTP_REDIRECT", "http:// or https://"),
    ] {
        let (error, made) = failure_of(&client, request(payload(to(302, &target)))).await;
        assert_eq!((error.code.as_str(), made), (code, 1), "{target}: {}", error.message);
        assert!(error.message.contains(part), "{target}: {}", error.message);
    }
    let circle = json!({"url": to(302, &to(302, &to(302, "/echo"))), "max_redirects": 2});
    let (error, _) = failure_of(&client, request(circle)).await;
    assert_eq!(error.code, "HTTP_REDIRECT");
    assert!(error.message.contains("over 2 redirects"), "{}", error.message);
    let none = json!({"url": to(302, "/echo"), "max_redirects": 0});
    assert_eq!(failure_of(&client, request(none)).await.0.code, "HTTP_302");
}

#[tokio::test]
async fn a_cancel_closes_the_connection() {
    let (_world, _worker, client, endpoint) = world().await;
    // Only the handler's own end can come so soon: the grace is longer than the patience.
    let job = request(json!({"url": endpoint.url("/hang"), "timeout_ms": 600_000}))
        .cancel_grace(Duration::from_secs(3600));
    let id = enqueue(&client, job).await;
    until("the request arrives", PATIENCE, || async {
        (!endpoint.seen().is_empty()).then_some(())
    })
    .await;
    let reply = client.cancel(&id, "enough").await.expect("cancel");
    assert_eq!(reply.outcome, CancelOutcome::Requested);
    assert_eq!(end_of(&client, &id).await.state(), JobState::Cancelled);
    until("the connection is closed", PATIENCE, || async {
        (endpoint.dropped() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_payload_that_can_not_be_sent_fails_once() {
    let (_world, _worker, client, _endpoint) = world().await;
    for (payload, text) in [
        (json!({}), "payload.url: expected a string, found nothing"),
        (
            json!({"url": "http://a", "timeout_ms": 0}),
            "payload.timeout_ms: expected a whole number 1..600000, found 0",
        ),
        (
            json!({"url": "http://a", "signature_secret": "other"}),
            "payload.signature_secret: expected the name of a secret of this worker, found \"other\"",
        ),
        (json!({"url": "http://a", "verb": "GET"}), "payload.verb: not a field of this kind"),
    ] {
        let (error, made) = failure_of(&client, request(payload)).await;
        assert_eq!((error.code.as_str(), made), ("BAD_PAYLOAD", 1));
        assert_eq!(error.message, text);
    }
}
