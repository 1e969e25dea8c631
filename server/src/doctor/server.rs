//! A server of an installation, as its callers see it.

use std::time::{Duration, Instant};

use sentinel_proto::admin::v1::ListQueuesRequest;
use sentinel_proto::admin::v1::queue_service_client::QueueServiceClient;
use tonic::transport::{Channel, Endpoint};
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

pub(super) async fn examine(url: &str) -> Vec<Finding> {
    let channel = match connect(url).await {
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

async fn connect(url: &str) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(url.to_owned())?
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE)
        .connect()
        .await
}

async fn health(channel: Channel, service: &str) -> Finding {
    let request = HealthCheckRequest { service: service.to_owned() };
    let remedy = "read the server's log; it drains, or its stores are away";
    match HealthClient::new(channel).check(request).await {
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
async fn answers(channel: Channel) -> Finding {
    let began = Instant::now();
    match QueueServiceClient::new(channel).list_queues(ListQueuesRequest::default()).await {
        Ok(answer) => {
            let count = answer.get_ref().queues.len();
            let (ms, noun) =
                (began.elapsed().as_millis(), if count == 1 { "queue" } else { "queues" });
            Finding::ok("server", format!("answers with {count} {noun} in {ms} ms"))
        }
        Err(status) => Finding::bad("server", status.message().to_owned(), "read the server's log"),
    }
}
