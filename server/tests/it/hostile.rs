//! Peers that violate the protocol or the limits. Each gets an error or is disconnected, while a
//! well-behaved worker continues and the server keeps serving.

mod flood;
mod frames;
mod http;
mod large;
mod tokens;

use sentinel_client::Client;
use sentinel_client::proto::jobs::v1::JobState;
use serde_json::json;
use tonic::transport::Endpoint;

use crate::harness::{TestServer, WorkerProcess, demo_job, enqueue, wait_terminal};
use crate::raw::RawClients;

/// A server with a well-behaved worker and a client without checks.
struct HostileFixture {
    server: TestServer,
    raw: RawClients,
    client: Client,
    _worker: WorkerProcess,
}

impl HostileFixture {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let worker = server.start_worker("good", &[]).await;
        let raw = RawClients::connect(&server).await;
        let client = server.client();
        Self { server, raw, client, _worker: worker }
    }

    /// Asserts that the well-behaved worker runs a job.
    async fn assert_works(&self) {
        let job =
            wait_terminal(&self.client, &enqueue(&self.client, demo_job("noop", json!({}))).await)
                .await;
        assert_eq!(job.state(), JobState::Succeeded, "{job:?}");
    }

    /// Asserts that the server works, reports SERVING on a new connection and has not panicked.
    async fn assert_serving(&self) {
        self.assert_works().await;
        let endpoint = Endpoint::from_shared(self.server.url()).expect("a valid address");
        let channel = endpoint.connect().await.expect("open another connection");
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
        for service in ["sentinel.jobs.v1.JobService", "sentinel.workers.v1.WorkerService"] {
            let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
            let status = health.check(request).await.expect("a response").into_inner().status();
            assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::Serving);
        }
        let panicked = self.server.log().contains("panicked at");
        assert!(!panicked, "a task of the server panicked");
    }

    /// Returns the process id of the server.
    fn pid(&self) -> i32 {
        let dir = self.server.dir.path().to_string_lossy().into_owned();
        let is_server = |command: &str| command.contains(&dir) && command.contains("serve");
        let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
        processes
            .filter_map(|process| process.file_name().to_string_lossy().parse().ok())
            .find(|pid: &i32| {
                let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                is_server(&String::from_utf8_lossy(&command))
            })
            .expect("the process of the server")
    }

    /// Returns a number from a `/proc` file of the server.
    fn stat(&self, file: &str, index: usize) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.pid()));
        let text = text.expect("the process of the server");
        text.split(' ').nth(index).and_then(|n| n.parse().ok()).expect("a number")
    }

    /// Returns the resident memory of the server in MiB.
    fn resident_mib(&self) -> u64 {
        self.stat("statm", 1) * 4 / 1_024
    }

    /// Returns the CPU time of the server in hundredths of a second.
    fn cpu_ticks(&self) -> u64 {
        self.stat("stat", 13) + self.stat("stat", 14)
    }
}
