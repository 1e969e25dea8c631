//! Checks a server by calling it.

use std::time::{Duration, Instant};

use sentinel_client::{AuthenticatedChannel, ConnectOptions};
use sentinel_proto::admin::v1::ListQueuesRequest;
use sentinel_proto::admin::v1::queue_service_client::QueueServiceClient;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::finding::Finding;

const SERVICES: [&str; 3] = [
    "sentinel.jobs.v1.JobService",
    "sentinel.admin.v1.QueueService",
    "sentinel.workers.v1.WorkerService",
];

const CALL_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn examine(url: &str, connect_options: &ConnectOptions) -> Vec<Finding> {
    let channel = match connect_options.connect(url).await {
        Ok(channel) => channel,
        Err(error) => {
            let message = format!("{url}: {error}");
            let remedy = "start the server, or name another one with --server";
            return vec![Finding::error("server", message, remedy)];
        }
    };
    let mut findings = Vec::new();
    for service in SERVICES {
        findings.push(health(channel.clone(), service).await);
    }
    findings.push(list_queues(channel).await);
    findings
}

fn with_timeout<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

async fn health(channel: AuthenticatedChannel, service: &str) -> Finding {
    let request = HealthCheckRequest { service: service.to_owned() };
    let remedy = "read the server's log: it shuts down, or its store is unreachable";
    match HealthClient::new(channel).check(with_timeout(request)).await {
        Ok(response) if response.get_ref().status() == ServingStatus::Serving => {
            Finding::ok("server", format!("{service} is SERVING"))
        }
        Ok(response) => {
            let message = format!("{service} is {}", response.get_ref().status().as_str_name());
            Finding::error("server", message, remedy)
        }
        Err(status) => Finding::error("server", format!("{service}: {}", status.message()), remedy),
    }
}

/// Makes a call that reads from the store, and measures it.
async fn list_queues(channel: AuthenticatedChannel) -> Finding {
    let started = Instant::now();
    let request = with_timeout(ListQueuesRequest::default());
    match QueueServiceClient::new(channel).list_queues(request).await {
        Ok(response) => {
            let count = response.get_ref().queues.len();
            let noun = if count == 1 { "queue" } else { "queues" };
            let ms = started.elapsed().as_millis();
            Finding::ok("server", format!("listed {count} {noun} in {ms} ms"))
        }
        Err(status) => {
            let remedy = match status.code() {
                Code::Unauthenticated | Code::PermissionDenied => {
                    "pass an API key with the role viewer or higher with --credential"
                }
                _ => "read the server's log",
            };
            Finding::error("server", status.message().to_owned(), remedy)
        }
    }
}
