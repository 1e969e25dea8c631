//! TLS of the listener: accepted and refused clients, errors for unusable certificate files, and
//! certificates that are replaced while the server runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use sentinel_client::proto::jobs::v1::watch_request::Selector;
use sentinel_client::proto::jobs::v1::watch_response::Event;
use sentinel_client::proto::jobs::v1::{JobFilter, JobState, WatchRequest, WatchResponse};
use sentinel_client::{Client, ConnectOptions, Error, NewJob};
use tokio::process::Command;
use tonic::Streaming;

use crate::harness::{
    CommandOutput, Process, TIMEOUT, TestServer, WorkerProcess, binary, run, sentinel, wait_until,
};
use crate::languages::program::Language;

/// A certificate authority.
struct CertificateAuthority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key in PEM.
struct CertAndKey {
    cert: String,
    key: String,
}

impl CertificateAuthority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> CertAndKey {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("parameters");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("a certificate").pem();
        CertAndKey { cert, key: key.serialize_pem() }
    }
}

/// A temporary directory with the certificate files of a server.
struct TlsFiles {
    dir: tempfile::TempDir,
}

impl TlsFiles {
    fn new(pair: &CertAndKey) -> Self {
        let files = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        files.put(pair);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("write a file");
        path.to_str().expect("a path").to_owned()
    }

    fn put(&self, pair: &CertAndKey) {
        self.write("server.pem", &pair.cert);
        self.write("server.key", &pair.key);
    }

    fn flags(&self) -> Vec<String> {
        let path = |name: &str| self.path(name).to_str().expect("a path").to_owned();
        let flags = ["--tls-cert".to_owned(), path("server.pem"), "--tls-key".to_owned()];
        [&flags[..], &[path("server.key"), "--auto-create-queues".to_owned()]].concat()
    }

    /// Starts a server with these files.
    async fn serve(&self, more: &[&str]) -> TestServer {
        let flags = self.flags();
        let flags: Vec<&str> =
            flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        TestServer::with_flags(&flags).await
    }
}

fn url(server: &TestServer) -> String {
    format!("https://{}", server.address)
}

fn trusting(authority: &CertificateAuthority) -> ConnectOptions {
    ConnectOptions::default().with_ca(authority.pem())
}

async fn list_queues(server: &TestServer, options: &ConnectOptions) -> Result<(), Error> {
    let client = Client::connect_with(url(server), options).await?;
    client.with_deadline(Duration::from_secs(3)).list_queues().await.map(drop)
}

/// Asserts that a job runs.
async fn assert_job_succeeds(client: &Client) {
    let job = client.enqueue(NewJob::new("default", "demo.noop")).await.expect("enqueue a job").job;
    wait_until("the job succeeds", TIMEOUT, || async {
        let job = client.get(&job.id).await.expect("an existing job");
        (job.state() == JobState::Succeeded).then_some(())
    })
    .await;
}

#[tokio::test]
async fn clients_that_trust_the_certificate_can_connect() {
    let (authority, other) =
        (CertificateAuthority::new("ours"), CertificateAuthority::new("other"));
    let files = TlsFiles::new(&authority.sign(|_| {}));
    let (ca, wrong) =
        (files.write("ca.pem", &authority.pem()), files.write("other.pem", &other.pem()));
    let server = files.serve(&[]).await;
    let url = url(&server);
    sentinel(["queue", "list", "--server", &url, "--ca", &ca]).await.ok();
    let refused = sentinel(["queue", "list", "--server", &url, "--ca", &wrong]).await;
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stderr.contains("certificate"), "{refused:?}");
    // The certificate is for another host.
    let other_host = url.replace("127.0.0.1", "127.0.0.2");
    let refused = sentinel(["queue", "list", "--server", &other_host, "--ca", &ca]).await;
    assert_ne!(refused.code, 0, "{refused:?}");
    // Without TLS.
    let refused = sentinel(["queue", "list", "--server", &server.url()]).await;
    assert_ne!(refused.code, 0, "{refused:?}");
    let _worker = WorkerProcess::start(server.dir.path(), &url, "w1", &["--ca", &ca]);
    server.wait_for_sessions("w1", 1).await;
    assert_job_succeeds(&Client::connect_with(&url, &trusting(&authority)).await.expect("connect"))
        .await;
}

#[tokio::test]
async fn a_server_with_a_client_ca_refuses_clients_without_a_certificate() {
    let (authority, clients) =
        (CertificateAuthority::new("ours"), CertificateAuthority::new("clients"));
    let files = TlsFiles::new(&authority.sign(|_| {}));
    let ca = files.write("ca.pem", &authority.pem());
    let client_ca = files.write("client_ca.pem", &clients.pem());
    let (own, untrusted) = (clients.sign(|_| {}), authority.sign(|_| {}));
    let cert = files.write("client.pem", &own.cert);
    let key = files.write("client.key", &own.key);
    let server = files.serve(&["--tls-client-ca", &client_ca]).await;
    let url = url(&server);
    // The connection may close before the client has read the TLS alert: then the call is repeated.
    let without_cert = ["queue", "list", "--server", &url, "--ca", &ca, "--timeout", "3s"];
    let refused = sentinel(without_cert).await;
    assert_eq!(refused.code, 4, "{refused:?}");
    let without_key = sentinel(without_cert.iter().chain(&["--cert", &cert])).await;
    assert_eq!(without_key.code, 2, "{without_key:?}");
    assert!(without_key.stderr.contains("set both cert and key"), "{without_key:?}");
    sentinel(without_cert.iter().chain(&["--cert", &cert, "--key", &key])).await.ok();
    let options = trusting(&authority).with_certificate(&untrusted.cert, &untrusted.key);
    list_queues(&server, &options).await.expect_err("an untrusted certificate");
    let own = trusting(&authority).with_certificate(&own.cert, &own.key);
    list_queues(&server, &own).await.expect("a response");
    let flags = ["--ca", &ca, "--cert", &cert, "--key", &key];
    let _worker = WorkerProcess::start(server.dir.path(), &url, "w1", &flags);
    server.wait_for_sessions("w1", 1).await;
    assert_job_succeeds(&Client::connect_with(&url, &own).await.expect("connect")).await;
}

/// Connects a client and a worker of a language to a server that requires client certificates.
async fn client_and_worker_connect(language: Language) {
    let (authority, clients) =
        (CertificateAuthority::new("ours"), CertificateAuthority::new("clients"));
    let files = TlsFiles::new(&authority.sign(|_| {}));
    let own = clients.sign(|_| {});
    let client_ca = files.write("client_ca.pem", &clients.pem());
    let server = files.serve(&["--tls-client-ca", &client_ca]).await;
    let env = [
        ("TEST_CA", files.write("ca.pem", &authority.pem())),
        ("TEST_CERT", files.write("client.pem", &own.cert)),
        ("TEST_KEY", files.write("client.key", &own.key)),
    ];
    let url = url(&server);
    let _worker_process = WorkerProcess::start(
        server.dir.path(),
        &url,
        "builtin",
        &["--queues", language.name(), "--ca", &env[0].1, "--cert", &env[1].1, "--key", &env[2].1],
    );
    server.wait_for_sessions("builtin", 1).await;
    let methods = |env: &[(&str, String)]| {
        let mut methods = language.program("methods");
        methods.arg(&url).envs(env.iter().map(|(name, path)| (name, path)));
        methods
    };
    assert_eq!(run(methods(&env)).await.ok(), "all methods\n");
    // Without a client certificate, and with another authority.
    assert_ne!(run(methods(&env[..1])).await.code, 0);
    let mut other = env.clone();
    other[0].1 = client_ca;
    assert_ne!(run(methods(&other)).await.code, 0);
    let mut worker = language.worker_command(&url, "w1");
    worker.envs(env.iter().map(|(name, path)| (name, path)));
    let _worker = Process::start(worker, &server.dir.path().join("worker.log"));
    server.wait_for_sessions("w1", 1).await;
}

#[tokio::test]
async fn the_node_client_and_worker_connect_with_tls() {
    client_and_worker_connect(Language::Node).await;
}

#[tokio::test]
async fn the_python_client_and_worker_connect_with_tls() {
    client_and_worker_connect(Language::Python).await;
}

/// Runs `sentinel serve` with these flags.
async fn serve_output(dir: &Path, flags: &[String]) -> CommandOutput {
    let mut command = Command::new(binary("sentinel"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(dir.join("data")).args(flags);
    run(command).await
}

#[tokio::test]
async fn unusable_certificate_files_are_reported_at_startup() {
    let authority = CertificateAuthority::new("ours");
    let good = authority.sign(|_| {});
    let expired = authority.sign(|params| params.not_after = date_time_ymd(2020, 1, 1));
    let not_yet_valid = authority.sign(|params| params.not_before = date_time_ymd(4000, 1, 1));
    let other = authority.sign(|_| {});
    let pair = |cert: &str, key: &str| CertAndKey { cert: cert.to_owned(), key: key.to_owned() };
    let cases = [
        (pair(&expired.cert, &expired.key), "has expired"),
        (pair(&not_yet_valid.cert, &not_yet_valid.key), "is not valid yet"),
        (pair(&good.cert, &other.key), "does not match the first certificate"),
        (pair(&good.key, &good.cert), "has no certificate"),
        (pair(&good.cert, &good.cert), "has no private key"),
        (pair("", &good.key), "has no certificate"),
        (
            pair(&good.cert, "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n"),
            "not valid PEM",
        ),
    ];
    for (pair, expected) in cases {
        let files = TlsFiles::new(&pair);
        let output = serve_output(files.dir.path(), &files.flags()).await;
        assert_ne!(output.code, 0, "{expected}: {output:?}");
        assert!(output.stderr.contains(expected), "{expected}: {output:?}");
        assert!(!output.stderr.contains("PRIVATE KEY-----\n"), "the error shows a key: {output:?}");
    }
    let files = TlsFiles::new(&good);
    std::fs::remove_file(files.path("server.key")).expect("remove a file");
    let output = serve_output(files.dir.path(), &files.flags()).await;
    assert!(
        output.stderr.contains("tls_key") && output.stderr.contains("cannot read"),
        "{output:?}"
    );
    let output = serve_output(files.dir.path(), &files.flags()[..2]).await;
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("tls_cert needs tls_key"), "{output:?}");
}

/// Returns the id of the next job that a watch shows.
async fn next_job(events: &mut Streaming<WatchResponse>) -> String {
    loop {
        let event = events.message().await.expect("no error").expect("an open watch");
        if let Some(Event::Change(change)) = event.event {
            return change.job.expect("a job").id;
        }
    }
}

#[tokio::test]
async fn new_certificates_apply_to_new_connections_and_old_ones_continue() {
    let (old, new) = (CertificateAuthority::new("old"), CertificateAuthority::new("new"));
    let files = TlsFiles::new(&old.sign(|_| {}));
    let server = files.serve(&[]).await;
    let first = Client::connect_with(url(&server), &trusting(&old)).await.expect("connect");
    let selector = Some(Selector::Filter(JobFilter::default()));
    let request = WatchRequest { selector, ..Default::default() };
    let mut events = first.raw_jobs().watch(request).await.expect("open a watch").into_inner();
    events.message().await.expect("a snapshot");
    // Half of a renewal: the key does not match the certificate.
    let pair = new.sign(|_| {});
    files.write("server.pem", &pair.cert);
    wait_until("the server reports the mismatch", TIMEOUT, || async {
        server.log().contains("keeping the previous files").then_some(())
    })
    .await;
    list_queues(&server, &trusting(&old)).await.expect("a response with the old certificate");
    files.write("server.key", &pair.key);
    wait_until("the server uses the new certificate", TIMEOUT, || async {
        list_queues(&server, &trusting(&new)).await.ok()
    })
    .await;
    list_queues(&server, &trusting(&old)).await.expect_err("an error with the old certificate");
    let second = Client::connect_with(url(&server), &trusting(&new)).await.expect("connect");
    let job = second.enqueue(NewJob::new("default", "raw")).await.expect("enqueue a job").job;
    let id = tokio::time::timeout(TIMEOUT, next_job(&mut events)).await.expect("a result in time");
    assert_eq!(id, job.id);
    first.get(&job.id).await.expect("a response on the old connection");
}
