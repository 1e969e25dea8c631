//! The endpoint over a socket and the layer around a gRPC service.

use std::net::SocketAddr;
use std::time::Duration;

use sentinel_proto::admin::v1 as pb;
use sentinel_proto::admin::v1::queue_service_client::QueueServiceClient;
use sentinel_proto::admin::v1::queue_service_server::{QueueService, QueueServiceServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::*;

async fn http_get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn the_endpoint_answers_and_shuts_down() {
    let (ready, readiness) =
        watch::channel(Readiness::NotReady("the journal is being read".into()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let routes = router(Metrics::new(), readiness);
    let served = tokio::spawn({
        let stop = stop.clone();
        async move { serve(listener, routes, &[], stop).await }
    });

    let response = http_get(address, "/readyz").await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    assert!(response.ends_with("not ready: the journal is being read\n"), "{response}");
    ready.send(Readiness::Ready).unwrap();
    assert!(http_get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(http_get(address, "/healthz").await.ends_with("ok\n"));
    let response = http_get(address, "/metrics").await;
    assert!(response.contains("application/openmetrics-text; version=1.0.0"), "{response}");
    assert!(response.ends_with("# EOF\n"), "{response}");

    // An idle connection does not delay the shutdown.
    let _idle = TcpStream::connect(address).await.unwrap();
    stop.cancel();
    let limit = Duration::from_secs(1);
    tokio::time::timeout(limit, served).await.unwrap().unwrap().unwrap();
}

struct Queues;

#[tonic::async_trait]
impl QueueService for Queues {
    async fn create_queue(
        &self,
        _: Request<pb::CreateQueueRequest>,
    ) -> Result<Response<pb::CreateQueueResponse>, Status> {
        std::future::pending().await
    }

    async fn get_queue(
        &self,
        request: Request<pb::GetQueueRequest>,
    ) -> Result<Response<pb::GetQueueResponse>, Status> {
        Err(Status::not_found(request.into_inner().name))
    }

    async fn list_queues(
        &self,
        _: Request<pb::ListQueuesRequest>,
    ) -> Result<Response<pb::ListQueuesResponse>, Status> {
        Ok(Response::new(pb::ListQueuesResponse::default()))
    }

    async fn update_queue(
        &self,
        _: Request<pb::UpdateQueueRequest>,
    ) -> Result<Response<pb::UpdateQueueResponse>, Status> {
        Err(Status::unimplemented("not used by these tests"))
    }

    async fn pause_queue(
        &self,
        _: Request<pb::PauseQueueRequest>,
    ) -> Result<Response<pb::PauseQueueResponse>, Status> {
        Err(Status::unimplemented("not used by these tests"))
    }

    async fn drain_queue(
        &self,
        _: Request<pb::DrainQueueRequest>,
    ) -> Result<Response<pb::DrainQueueResponse>, Status> {
        Err(Status::unimplemented("not used by these tests"))
    }

    async fn resume_queue(
        &self,
        _: Request<pb::ResumeQueueRequest>,
    ) -> Result<Response<pb::ResumeQueueResponse>, Status> {
        Err(Status::unimplemented("not used by these tests"))
    }
}

/// Waits until `calls` call counters are exported and returns their lines.
async fn call_counters(metrics: &Metrics, calls: usize) -> Vec<String> {
    let wait = async {
        loop {
            let text = metrics.to_text();
            let lines: Vec<String> = text
                .lines()
                .filter(|line| line.starts_with("sentinel_rpc_duration_seconds_count"))
                .map(str::to_owned)
                .collect();
            if lines.len() >= calls {
                return lines;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wait)
        .await
        .expect("all calls are counted within 5 s")
}

#[tokio::test]
async fn every_call_is_counted_by_method_and_code() {
    let metrics = Metrics::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .layer(rpc::RpcMetricsLayer::new(metrics.clone()))
        .add_service(QueueServiceServer::new(Queues))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let server = tokio::spawn(server);
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = QueueServiceClient::new(endpoint.connect().await.unwrap());

    client.list_queues(pb::ListQueuesRequest::default()).await.unwrap();
    client.get_queue(pb::GetQueueRequest { name: "x".into() }).await.unwrap_err();
    let pending = client.create_queue(pb::CreateQueueRequest::default());
    tokio::time::timeout(Duration::from_millis(100), pending).await.unwrap_err();

    let lines = call_counters(&metrics, 3).await.join("\n");
    for (method, code) in
        [("ListQueues", "OK"), ("GetQueue", "NOT_FOUND"), ("CreateQueue", "CANCELLED")]
    {
        let method = format!("sentinel.admin.v1.QueueService/{method}");
        let line = format!("{{method=\"{method}\",code=\"{code}\"}} 1");
        assert!(lines.contains(&line), "{line} is missing in:\n{lines}");
    }
    server.abort();
}
