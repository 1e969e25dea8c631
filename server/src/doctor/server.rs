//! A server of an installation, as its callers see it.

use std::time::{Duration, Instant};

use sentinel_client::{Access, Connection};
use sentinel_proto::admin::v1::ListQueuesRequest;
use sentinel_proto::admin::v1::queue_service_client::QueueServiceClient;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Finding;

const SERVICES: [&str; 3] = [
    "sentinel.jobs.v1.JobService",
    "sentinel.admin.v1.QueueService",
    "sentinel.workers.v1.WorkerService",
];

const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn examine(url: &str, access: &Access) -> Vec<Finding> {
    let channel = match access.connect(url).await {
        Ok(channel) => channel,
        Err(error) => {
            let found = format!("{url}: {error}");
            return vec![Finding::bad("server", found, "start it, or name another with --server")];
        }
    };
    let mut findings = Vec::new();
    for service in SERVICES {
        findings.push(health(channel.clone(), service).await);
    }
    findings.push(answers(channel).await);
    findings
}

fn patient<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}

async fn health(channel: Connection, service: &str) -> Finding {
    let request = HealthCheckRequest { service: service.to_owned() };
    let remedy = "read the server's log; it drains, or its stores are away";
    match HealthClient::new(channel).check(patient(request)).await {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => {
            Finding::ok("server", format!("{service} is SERVING"))
        }
        Ok(answer) => {
            let found = format!("{service} is {}", answer.get_ref().status().as_str_name());
            Finding::bad("server", found, remedy)
        }
        Err(status) => Finding::bad("server", format!("{service}: {}", status.message()), remedy),
    }
}

/// A read that passes through the whole server.
async fn answers(channel: Connection) -> Finding {
    let began = Instant::now();
    let request = patient(ListQueuesRequest::default());
    match QueueServiceClient::new(channel).list_queues(request).await {
        Ok(answer) => {
            let count = answer.get_ref().queues.len();
            let (ms, noun) =
                (began.elapsed().as_millis(), if count == 1 { "queue" } else { "queues" });
            Finding::ok("server", format!("answers with {count} {noun} in {ms} ms"))
        }
        Err(status) => {
            let remedy = match status.code() {
                Code::Unauthenticated | Code::PermissionDenied => {
                    "give a key that may look, of role viewer or above, with --credential"
                }
                _ => "read the server's log",
            };
            Finding::bad("server", status.message().to_owned(), remedy)
        }
    }
}
