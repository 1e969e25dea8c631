//! Peers that do not keep to the rules. Each of them is told why or cut off; beside them an
//! honest worker goes on, and at the end the server serves.

mod flood;
mod frames;
mod http;
mod large;
mod tokens;

use sentinel_client::Client;
use sentinel_client::proto::jobs::v1::JobState;
use serde_json::json;
use tonic::transport::Endpoint;

use crate::harness::{Worker, World, demo, end_of, enqueue};
use crate::raw::Raw;

/// A server with an honest worker.
struct Town {
    world: World,
    raw: Raw,
    client: Client,
    _worker: Worker,
}

impl Town {
    async fn start() -> Self {
        let world = World::start().await;
        let worker = world.worker("honest", &[]).await;
        let raw = Raw::connect(&world).await;
        let client = world.client();
        Self { world, raw, client, _worker: worker }
    }

    /// The honest worker runs a job.
    async fn works(&self) {
        let job = end_of(&self.client, &enqueue(&self.client, demo("noop", json!({}))).await).await;
        assert_eq!(job.state(), JobState::Succeeded, "{job:?}");
    }

    /// It works, from a connection of its own, and says so itself.
    async fn is_serving(&self) {
        self.works().await;
        let endpoint = Endpoint::from_shared(self.world.server.url()).expect("an address");
        let channel = endpoint.connect().await.expect("another connection");
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
        for service in ["sentinel.jobs.v1.JobService", "sentinel.workers.v1.WorkerService"] {
            let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
            let status = health.check(request).await.expect("an answer").into_inner().status();
            assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::Serving);
        }
        let panicked = self.world.server.log().contains("panicked at");
        assert!(!panicked, "a task of the server panicked");
    }

    fn pid(&self) -> i32 {
        let dir = self.world.dir.path().to_string_lossy().into_owned();
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

    /// A number of the server's process.
    fn stat(&self, file: &str, at: usize) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.pid()));
        let text = text.expect("the process of the server");
        text.split(' ').nth(at).and_then(|n| n.parse().ok()).expect("a number")
    }

    /// Memory of the server in MiB.
    fn resident_mib(&self) -> u64 {
        self.stat("statm", 1) * 4 / 1_024
    }

    /// Processor time of the server in hundredths of a second.
    fn cpu_ticks(&self) -> u64 {
        self.stat("stat", 13) + self.stat("stat", 14)
    }
}
