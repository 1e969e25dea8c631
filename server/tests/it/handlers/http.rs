//! `http.request`: the requests, the handling of responses, and the forbidden targets.

use std::time::Duration;

use sentinel_client::proto::jobs::v1::{CancelOutcome, JobState};
use sentinel_client::{Client, NewJob};
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::{failure_of, job, log_with, result_of};
use crate::harness::{TIMEOUT, TestServer, WorkerProcess, enqueue, wait_terminal, wait_until};

fn request(payload: Value) -> NewJob {
    job("http.request", &payload, 2)
}

/// Starts a server with a worker that may call 127.0.0.1, and an HTTP endpoint.
async fn start() -> (TestServer, WorkerProcess, Client, Endpoint) {
    let server = TestServer::start().await;
    let secret = server.dir.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef").expect("write");
    let secret = format!("shop=file:{}", secret.display());
    let worker =
        server.start_worker("w1", &["--http-allow", "127.0.0.1", "--http-secret", &secret]).await;
    let client = server.client();
    (server, worker, client, Endpoint::listen().await)
}

#[tokio::test]
async fn a_request_carries_the_job_headers_and_the_signature() {
    let (_server, _worker, client, endpoint) = start().await;
    let job = request(json!({
        "url": endpoint.url("/echo?q=1#f"), "method": "PUT", "body": "hello",
        "headers": {"X-Own": "v", "Content-Type": "text/plain"}, "signature_secret": "shop",
    }));
    let id = enqueue(&client, job).await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{:?}", job.error);
    let result: Value = serde_json::from_slice(&job.result).expect("JSON");
    assert_eq!((&result["status"], &result["body"]), (&json!(201), &json!("hello")));
    assert_eq!((&result["truncated"], &result["redirects"]), (&json!(false), &json!(0)));
    assert_eq!(result["headers"]["x-response"], "yes");
    let received = endpoint.requests().remove(0);
    assert_eq!((received.method.as_str(), &received.body[..]), ("PUT", &b"hello"[..]));
    assert_eq!((received.header("x-own"), received.header("content-type")), ("v", "text/plain"));
    assert_eq!(received.header("host"), endpoint.address.to_string());
    assert_eq!(received.header("idempotency-key"), format!("{id}/1/1"));
    assert_eq!(
        (received.header("sentinel-job"), received.header("content-length")),
        (id.as_str(), "5")
    );
    let sent_s: u64 = received.header("sentinel-timestamp").parse().expect("seconds");
    assert!(sent_s > 1_700_000_000);
    let digits = received.header("sentinel-signature").strip_prefix("v1=").expect("a version");
    assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let log = log_with(&client, &id, &["PUT http://127.0.0.1", "received 201 Created in "]).await;
    assert!(log[0].ends_with("/echo, 5 bytes"), "{log:?}");
}

#[tokio::test]
async fn the_status_code_determines_whether_to_retry() {
    let (_server, _worker, client, endpoint) = start().await;
    let result = result_of(&client, request(json!({"url": endpoint.url("/flaky")}))).await;
    assert_eq!(result["body"], "now");
    let keys: Vec<String> = endpoint
        .requests()
        .iter()
        .map(|received| received.header("idempotency-key").to_owned())
        .collect();
    assert!(keys[0].ends_with("/1/1") && keys[1].ends_with("/1/2"), "{keys:?}");
    for (status, code, attempts) in
        [(404, "HTTP_404", 1), (500, "HTTP_500", 2), (429, "HTTP_429", 2), (304, "HTTP_304", 1)]
    {
        let job = request(json!({"url": endpoint.url(&format!("/status/{status}"))}));
        let (error, attempts_made) = failure_of(&client, job).await;
        assert_eq!((error.code.as_str(), attempts_made), (code, attempts), "{}", error.message);
    }
    let overridden = json!({"url": endpoint.url("/status/404"), "retry_statuses": [404]});
    assert_eq!(failure_of(&client, request(overridden)).await.1, 2);
    // No process listens on the discard port.
    let (error, attempts_made) =
        failure_of(&client, request(json!({"url": "http://127.0.0.1:9"}))).await;
    assert_eq!((error.code.as_str(), attempts_made), ("HTTP_CONNECT", 2), "{}", error.message);
    let (error, attempts_made) =
        failure_of(&client, request(json!({"url": "http://no.invalid"}))).await;
    assert_eq!((error.code.as_str(), attempts_made), ("HTTP_LOOK_UP", 2), "{}", error.message);
}

#[tokio::test]
async fn long_responses_are_truncated_and_slow_ones_time_out() {
    let (_server, _worker, client, endpoint) = start().await;
    let url = endpoint.url("/big/600000");
    let result = result_of(&client, request(json!({"url": url}))).await;
    assert_eq!(result["truncated"], true);
    assert_eq!(result["body"].as_str().map(str::len), Some(256 << 10));
    let job = request(json!({"url": endpoint.url("/big/9"), "max_response_bytes": 9}));
    let result = result_of(&client, job).await;
    assert_eq!((&result["truncated"], &result["body"]), (&json!(false), &json!("x".repeat(9))));
    let job = request(json!({"url": endpoint.url("/hang"), "timeout_ms": 50}));
    let (error, attempts_made) = failure_of(&client, job).await;
    assert_eq!((error.code.as_str(), attempts_made), ("HTTP_TIMEOUT", 2), "{}", error.message);
}

#[tokio::test]
async fn forbidden_targets_are_refused_in_every_notation() {
    let (server, _worker, client, endpoint) = start().await;
    let port = endpoint.address.port();
    let refused = async |client: &Client, url: String, what: &str| {
        let (error, attempts_made) = failure_of(client, request(json!({"url": url}))).await;
        assert_eq!(
            (error.code.as_str(), attempts_made),
            ("TARGET_REFUSED", 1),
            "{url}: {}",
            error.message
        );
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
        // The address itself is allowed, but not in this notation.
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
    assert!(endpoint.requests().is_empty());
    // Workers with other allow lists serve other queues.
    let in_queue = |queue: &str, job: NewJob| {
        let mut spec = job.into_spec();
        queue.clone_into(&mut spec.queue);
        NewJob::from(spec)
    };
    let local = format!("http://localhost:{port}/echo");
    let _without_allow_list = server.start_worker("w2", &["--queues", "no-allow-list"]).await;
    let job = in_queue("no-allow-list", request(json!({"url": local})));
    let (error, attempts_made) = failure_of(&client, job).await;
    assert_eq!((error.code.as_str(), attempts_made), ("TARGET_REFUSED", 1), "{}", error.message);
    assert!(error.message.contains("localhost is at "), "{}", error.message);
    let _by_name =
        server.start_worker("w3", &["--queues", "by-name", "--http-allow", "localhost"]).await;
    let job = in_queue("by-name", request(json!({"url": local})));
    assert_eq!(result_of(&client, job).await["status"], 201);
    let job = in_queue("by-name", request(json!({"url": endpoint.url("/echo")})));
    assert_eq!(failure_of(&client, job).await.0.code, "TARGET_REFUSED");
}

#[tokio::test]
async fn redirects_are_checked_like_targets() {
    let (_server, _worker, client, endpoint) = start().await;
    let other = Endpoint::listen().await;
    let to = |code: u16, target: &str| endpoint.url(&format!("/to/{code}?{target}"));
    let payload = |url: String| {
        json!({
            "url": url, "body": "b", "signature_secret": "shop",
            "headers": {"Authorization": "Bearer t", "X-Api-Key": "k", "Content-Type": "a/b"},
        })
    };
    // A redirect to the same origin keeps all headers; one to another origin drops credentials.
    let job = request(payload(to(307, &endpoint.url("/echo"))));
    assert_eq!(result_of(&client, job).await["redirects"], 1);
    let same_origin = endpoint.requests().pop().expect("a request");
    assert_eq!(
        (same_origin.path.as_str(), same_origin.header("authorization")),
        ("/echo", "Bearer t")
    );
    assert!(same_origin.header("sentinel-signature").starts_with("v1="));
    let job = request(payload(to(307, &other.url("/echo"))));
    assert_eq!(result_of(&client, job).await["url"], other.url("/echo"));
    let other_origin = other.requests().pop().expect("a request");
    assert_eq!((&other_origin.body[..], other_origin.header("content-type")), (&b"b"[..], "a/b"));
    for name in ["authorization", "x-api-key", "sentinel-signature", "sentinel-timestamp"] {
        assert_eq!(other_origin.header(name), "", "{name}");
    }
    // A 303 becomes a GET without a body.
    result_of(&client, request(payload(to(303, "/echo")))).await;
    let after_303 = endpoint.requests().pop().expect("a request");
    assert_eq!((after_303.method.as_str(), after_303.body.len()), ("GET", 0));
    let port = endpoint.address.port();
    for (target, code, part) in [
        (format!("http://127.0.0.2:{port}/echo"), "TARGET_REFUSED", "loopback"),
        (format!("http://2130706434:{port}/echo"), "TARGET_REFUSED", "loopback"),
        (format!("http://[::ffff:127.0.0.1]:{port}/"), "TARGET_REFUSED", "mapped"),
        ("http://169.254.169.254/latest/meta-data".to_owned(), "TARGET_REFUSED", "link-local"),
        ("file:///etc/passwd".to_owned(), "HTTP_REDIRECT", "http:// or https://"),
    ] {
        let (error, attempts_made) = failure_of(&client, request(payload(to(302, &target)))).await;
        assert_eq!((error.code.as_str(), attempts_made), (code, 1), "{target}: {}", error.message);
        assert!(error.message.contains(part), "{target}: {}", error.message);
    }
    let too_many = json!({"url": to(302, &to(302, &to(302, "/echo"))), "max_redirects": 2});
    let (error, _) = failure_of(&client, request(too_many)).await;
    assert_eq!(error.code, "HTTP_REDIRECT");
    assert!(error.message.contains("more than 2 redirects"), "{}", error.message);
    let no_redirects = json!({"url": to(302, "/echo"), "max_redirects": 0});
    assert_eq!(failure_of(&client, request(no_redirects)).await.0.code, "HTTP_302");
}

#[tokio::test]
async fn a_cancel_closes_the_connection() {
    let (_server, _worker, client, endpoint) = start().await;
    // The cancel grace period is longer than the test, so the handler itself must have finished.
    let job = request(json!({"url": endpoint.url("/hang"), "timeout_ms": 600_000}))
        .cancel_grace(Duration::from_secs(3600));
    let id = enqueue(&client, job).await;
    wait_until("the request arrives", TIMEOUT, || async {
        (!endpoint.requests().is_empty()).then_some(())
    })
    .await;
    let reply = client.cancel(&id, "enough").await.expect("cancel the job");
    assert_eq!(reply.outcome, CancelOutcome::Requested);
    assert_eq!(wait_terminal(&client, &id).await.state(), JobState::Cancelled);
    wait_until("the connection is closed", TIMEOUT, || async {
        (endpoint.dropped() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_invalid_payload_fails_without_a_retry() {
    let (_server, _worker, client, _endpoint) = start().await;
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
        let (error, attempts_made) = failure_of(&client, request(payload)).await;
        assert_eq!((error.code.as_str(), attempts_made), ("BAD_PAYLOAD", 1));
        assert_eq!(error.message, text);
    }
}
