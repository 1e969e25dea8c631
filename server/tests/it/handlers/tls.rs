//! `http.request` over TLS uses the certificates that the machine trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{failure_of, job, result_of};
use crate::harness::{Process, TestServer, binary};

/// Returns the path of a fixture: a certificate for `localhost` and its authority, made with
/// openssl and valid for 100 years.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// Starts a TLS listener that sends one response per connection and returns its port.
async fn listen() -> u16 {
    let chain = vec![CertificateDer::from_pem_file(fixture("leaf.pem")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(fixture("leaf.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate with its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind a free port");
    let port = listener.local_addr().expect("a local address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust the certificate disconnects here.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret").await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

/// Starts a worker that trusts the certificates in this file and serves a queue with its own name.
async fn start_worker_trusting(
    server: &TestServer,
    instance: &str,
    certificates: &Path,
) -> Process {
    let mut command = tokio::process::Command::new(binary("sentinel-worker"));
    command.env("SSL_CERT_FILE", certificates);
    command.args(["--server", &server.url(), "--instance", instance, "--json"]);
    command.args(["--queues", instance, "--http-allow", "127.0.0.1"]);
    let process = Process::start(command, &server.dir.path().join(format!("{instance}.log")));
    server.wait_for_sessions(instance, 1).await;
    process
}

#[tokio::test]
async fn https_accepts_only_certificates_that_the_machine_trusts() {
    let server = TestServer::start().await;
    let client = server.client();
    let port = listen().await;
    let own = fixture("ca.pem");
    // Any other certificate authority.
    let other = fixture("other.pem");
    let _trusts = start_worker_trusting(&server, "trusts", &own).await;
    let _distrusts = start_worker_trusting(&server, "distrusts", &other).await;
    let request = |queue: &str, host: &str| {
        let url = format!("https://{host}:{port}/");
        let mut spec =
            job("http.request", &json!({"url": url, "timeout_ms": 20_000}), 2).into_spec();
        queue.clone_into(&mut spec.queue);
        sentinel_client::NewJob::from(spec)
    };
    assert_eq!(result_of(&client, request("trusts", "localhost")).await["body"], "secret");
    // The certificate does not include the IP address.
    for (queue, host) in [("trusts", "127.0.0.1"), ("distrusts", "localhost")] {
        let (error, attempts) = failure_of(&client, request(queue, host)).await;
        assert_eq!((error.code.as_str(), attempts), ("HTTP_TLS", 2), "{}", error.message);
        assert!(error.message.contains("certificate"), "{}", error.message);
    }
}
