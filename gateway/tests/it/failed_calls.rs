//! The status of calls that fail between the caller and the server.

use http::{Method, header};
use http_body_util::Full;
use hyper::body::Bytes;
use sentinel_gateway::{Limits, Settings};
use sentinel_testing::TestServer;
use tokio::net::TcpListener;

use crate::fixture::{TestGateway, read};

const LIST: &str = "/sentinel.jobs.v1.JobService/List";

/// Returns the status of a gRPC-Web call: from the headers, or from the trailers in the body.
async fn web_status(gateway: &TestGateway, headers: &[(&str, &str)], body: &[u8]) -> String {
    let mut request = gateway.request(Method::POST, LIST);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).expect("a valid request");
    let response = gateway.send(request).await;
    match response.headers().get("grpc-status") {
        Some(status) => status.to_str().expect("digits").to_owned(),
        None => read(response).await.1,
    }
}

#[tokio::test]
async fn text_that_is_not_a_message_is_an_invalid_argument() {
    let gateway = TestGateway::with_limits(Limits::default()).await;
    let text = [(header::CONTENT_TYPE.as_str(), "application/grpc-web-text+proto")];
    for body in ["!!!!", "AAAA!", "AAAAAA=A", "A", "\u{e9}\u{e9}", "AAAAAAA*", "{\"a\":1}"] {
        let status = web_status(&gateway, &text, body.as_bytes()).await;
        assert_eq!(status, "3", "{body:?}");
    }
    let valid = web_status(&gateway, &text, b"AAAAAAA=").await;
    assert_ne!(valid, "3", "an empty message is valid");
}

/// A server that accepts connections and says nothing, and one that serves but is slow.
#[tokio::test]
async fn a_deadline_that_passes_is_deadline_exceeded_in_both_protocols() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok(accepted) = silent.accept().await {
            open.push(accepted);
        }
    });
    let silent =
        TestGateway::start(TestServer::start().await, Settings::new(format!("http://{address}")))
            .await;
    let serving = TestGateway::with_limits(Limits::default()).await;
    for timeout in ["1n", "1u", "50m", "200m"] {
        let (web, status, text) = call_with_timeout(&silent, timeout).await;
        assert_eq!((web.as_str(), status), ("4", 504), "{timeout}: {text}");
        assert!(text.contains("DEADLINE_EXCEEDED"), "{text}");
    }
    // A fast server may answer in the granularity of the timers. It passes at the server, at the
    // client of the gateway, or nowhere.
    for timeout in ["1n", "10n", "100u", "500u", "1m", "2m"] {
        let (web, status, text) = call_with_timeout(&serving, timeout).await;
        assert!(web == "4" || web.contains("grpc-status:0"), "{timeout}: {web}");
        assert!(status == 504 || status == 200, "{timeout}: {status} {text}");
    }
}

/// Returns the status of a gRPC-Web call, and the status and the body of a REST call.
async fn call_with_timeout(gateway: &TestGateway, timeout: &str) -> (String, u16, String) {
    let web = [("content-type", "application/grpc-web+proto"), ("grpc-timeout", timeout)];
    let web = web_status(gateway, &web, &[0; 5]).await;
    let request = gateway.request(Method::GET, "/v1/jobs").header("grpc-timeout", timeout);
    let request = request.body(Full::default()).expect("a valid request");
    let (status, text) = read(gateway.send(request).await).await;
    (web, status.as_u16(), text)
}
