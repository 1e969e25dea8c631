//! Connections of a client: refused, lost, moved, and with the wrong kind of encryption.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tonic::transport::Identity;

use super::calls::{LONG, enqueue};
use crate::ClientProgram;
use crate::client_program::CallError;
use crate::job_server::JobServer;

/// How long a server that restarts accepts no connection.
const RESTART: Duration = Duration::from_millis(1_500);

/// Calls wait for a server that restarts: those in flight, and those made while it is away.
pub(super) async fn client_server_restart(program: ClientProgram) {
    let server = JobServer::start();
    let address = server.address;
    let mut client = program.start(&[server.url()], &[]);
    client.call(enqueue("echo", LONG)).await.expect("the first call connects");
    let first = client.send(vec![enqueue("brief", LONG); 100]).await;
    drop(server);
    client.send(vec![enqueue("echo", LONG); 200]).await;
    tokio::time::sleep(RESTART).await;
    let _server = JobServer::start_at(address, None).expect("the port is free again");
    for result in client.results(first, 300).await {
        result.expect("a call with a deadline of 60 s must outlast a restart of 1.5 s");
    }
}

/// GOAWAY in the middle of calls: those in flight are answered, later ones use a new connection.
pub(super) async fn client_go_away(program: ClientProgram) {
    let server = JobServer::start();
    let address = server.address;
    let mut client = program.start(&[server.url()], &[]);
    let first = client.send(vec![enqueue("brief", LONG); 100]).await;
    // In the middle: the server has received some of the calls.
    while server.received(|received| received.request_ids.is_empty()) {
        tokio::task::yield_now().await;
    }
    server.go_away();
    client.send(vec![enqueue("echo", LONG); 100]).await;
    let next = loop {
        // Refused until the first server has closed its listener.
        match JobServer::start_at(address, None) {
            Ok(next) => break next,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    for result in client.results(first, 200).await {
        result.expect("a GOAWAY must not fail a call");
    }
    drop((server, next));
}

/// The second address is used while nobody listens at the first one.
pub(super) async fn client_second_endpoint(program: ClientProgram) {
    let server = JobServer::start();
    let dead = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let mut client = program.start(&[dead, server.url()], &[]);
    for result in client.call_all(vec![enqueue("echo", LONG); 50]).await {
        result.expect("the second address must be used");
    }
}

pub(super) async fn client_ipv6(program: ClientProgram) {
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let server = match JobServer::start_at(address, None) {
        Ok(server) => server,
        Err(error) => {
            println!("this machine has no IPv6 loopback address: {error}");
            return;
        }
    };
    for url in [server.url(), server.address.to_string()] {
        let mut client = program.start(std::slice::from_ref(&url), &[]);
        let result = client.call(enqueue("echo", LONG)).await;
        result.unwrap_or_else(|error| panic!("{url}: {error:?}"));
    }
}

/// A credential is not sent to another machine without TLS.
pub(super) async fn client_plaintext_credential(program: ClientProgram) {
    for endpoint in ["http://192.0.2.1:7070", "192.0.2.1:7070", "http://sentinel.example:7070"] {
        let mut client = program.start(&[endpoint.to_owned()], &["--credential", "key-1"]);
        let error = client.call(enqueue("echo", Duration::from_secs(5))).await.unwrap_err();
        assert_eq!(error.kind, "invalid_argument", "{endpoint}: {error:?}");
        assert!(!error.message.contains("key-1"), "the error shows the key: {error:?}");
    }
}

/// A certificate authority and the certificate of `localhost` that it signed.
struct Authority {
    pem: String,
    identity: Identity,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // With the name of its issuer, the certificate of the server would count as self-signed.
        params.distinguished_name.push(DnType::CommonName, "conformance CA");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let cert = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let identity = Identity::from_pem(cert.pem(), key.serialize_pem());
        Self { pem: issuer.pem(), identity }
    }

    /// Writes the certificate of the authority to a file that is unique to this process.
    fn file(&self, name: &str) -> String {
        let name = format!("sentinel-conformance-{}-{name}.pem", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, &self.pem).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// TLS with the right settings works. Each mistake fails by the deadline with an error that names
/// TLS or the certificate.
pub(super) async fn client_tls_mistakes(program: ClientProgram) {
    let (authority, other) = (Authority::new(), Authority::new());
    let (right, wrong) = (authority.file("right"), other.file("wrong"));
    let address = "127.0.0.1:0".parse().unwrap();
    let secure = JobServer::start_at(address, Some(authority.identity.clone())).unwrap();
    let plain = JobServer::start();
    let https = |server: &JobServer| format!("https://localhost:{}", server.address.port());
    let mut client = program.start(&[https(&secure)], &["--ca", &right]);
    client.call(enqueue("echo", LONG)).await.expect("TLS with the right CA must work");
    let mistakes: [(&str, String, Vec<&str>); 4] = [
        ("http to a TLS port", secure.url(), vec![]),
        ("https to a plain port", https(&plain), vec!["--ca", &right]),
        ("the wrong CA", https(&secure), vec!["--ca", &wrong]),
        ("no CA", https(&secure), vec![]),
    ];
    for (mistake, endpoint, flags) in mistakes {
        let mut client = program.start(&[endpoint], &flags);
        let error = client.call(enqueue("echo", Duration::from_secs(8))).await.unwrap_err();
        assert_names_tls(mistake, &error);
    }
    for path in [right, wrong] {
        let _ = std::fs::remove_file(path);
    }
}

fn assert_names_tls(mistake: &str, error: &CallError) {
    assert_eq!(error.kind, "transport", "{mistake}: {error:?}");
    let text = error.message.to_lowercase();
    let names = ["tls", "ssl", "https://", "certificate"];
    assert!(names.iter().any(|name| text.contains(name)), "{mistake}: {error:?}");
}
