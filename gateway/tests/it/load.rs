//! Many requests at once.

use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::Full;
use sentinel_gateway::Limits;
use sentinel_proto::jobs::v1::ListRequest;
use tokio::task::JoinSet;

use crate::fixture::{TestGateway, read};

/// Sends requests at once, half of them gRPC-Web, and returns the statuses that are not 200.
async fn send_at_once(gateway: &std::sync::Arc<TestGateway>, count: usize) -> Vec<String> {
    let mut requests = JoinSet::new();
    for number in 0..count {
        let gateway = gateway.clone();
        requests.spawn(async move {
            let response = if number % 2 == 0 {
                let request = gateway.request(Method::GET, "/v1/counts").body(Full::default());
                gateway.send(request.unwrap()).await
            } else {
                gateway.call("/sentinel.jobs.v1.JobService/List", &ListRequest::default()).await
            };
            let refused = response.headers().get("grpc-status").is_some_and(|code| code != "0");
            let (status, text) = read(response).await;
            (status != StatusCode::OK || refused).then(|| format!("{status}: {text}"))
        });
    }
    let responses = tokio::time::timeout(Duration::from_secs(60), requests.join_all()).await;
    responses.expect("all responses").into_iter().flatten().collect()
}

#[tokio::test]
async fn two_hundred_requests_at_once_are_served_with_the_default_limits() {
    let gateway = std::sync::Arc::new(TestGateway::with_limits(Limits::default()).await);
    let refused = send_at_once(&gateway, 200).await;
    assert!(refused.is_empty(), "{} refused: {:?}", refused.len(), refused.first());
}

#[tokio::test]
async fn a_thousand_requests_at_once_are_served() {
    for in_flight_max in [0, 64] {
        let limits = Limits { requests_per_second: 0, in_flight_max, ..Limits::default() };
        let limits = Limits { in_flight_wait: Duration::from_secs(30), ..limits };
        let gateway = std::sync::Arc::new(TestGateway::with_limits(limits).await);
        let refused = send_at_once(&gateway, 1_000).await;
        assert!(refused.is_empty(), "{} refused: {:?}", refused.len(), refused.first());
    }
}
