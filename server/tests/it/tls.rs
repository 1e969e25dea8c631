//! TLS of the listener: who gets through, what a server says of files that do not fit, and
//! certificates that change while it runs.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use sentinel_client::proto::jobs::v1::watch_request::Selector;
use sentinel_client::proto::jobs::v1::watch_response::Event;
use sentinel_client::proto::jobs::v1::{JobFilter, JobState, WatchRequest, WatchResponse};
use sentinel_client::{Access, Client, Error, NewJob};
use tokio::process::Command;
use tonic::Streaming;

use crate::harness::{Ended, PATIENCE, Process, Worker, World, binary, run, sentinel, until};
use crate::languages::program::Language;

/// Who signs certificates.
struct Signer(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
struct Pair {
    cert: String,
    key: String,
}

impl Signer {
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

    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("parameters");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("a certificate").pem();
        Pair { cert, key: key.serialize_pem() }
    }
}

/// The files of a server, in a directory that goes with it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(pair: &Pair) -> Self {
        let place = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        place.put(pair);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("a path").to_owned()
    }

    fn put(&self, pair: &Pair) {
        self.write("server.pem", &pair.cert);
        self.write("server.key", &pair.key);
    }

    fn flags(&self) -> Vec<String> {
        let path = |name: &str| self.path(name).to_str().expect("a path").to_owned();
        let flags = ["--tls-cert".to_owned(), path("server.pem"), "--tls-key".to_owned()];
        [&flags[..], &[path("server.key"), "--auto-create-queues".to_owned()]].concat()
    }

    async fn serve(&self, more: &[&str]) -> World {
        let flags = self.flags();
        let flags: Vec<&str> =
            flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        World::with(&flags).await
    }
}

fn url(world: &World) -> String {
    format!("https://{}", world.server.address)
}

fn trusting(signer: &Signer) -> Access {
    Access::default().with_ca(signer.pem())
}

async fn list(world: &World, access: &Access) -> Result<(), Error> {
    Client::connect_with(url(world), access).await?.list_queues().await.map(drop)
}

async fn succeeds(client: &Client) {
    let job = client.enqueue(NewJob::new("default", "demo.noop")).await.expect("enqueued").job;
    until("the job succeeds", PATIENCE, || async {
        let job = client.get(&job.id).await.expect("the job");
        (job.state() == JobState::Succeeded).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_trusts_the_certificate_gets_through() {
    let (signer, other) = (Signer::new("ours"), Signer::new("other"));
    let place = Place::new(&signer.sign(|_| {}));
    let (ca, wrong) =
        (place.write("ca.pem", &signer.pem()), place.write("other.pem", &other.pem()));
    let world = place.serve(&[]).await;
    let url = url(&world);
    sentinel(["queue", "list", "--server", &url, "--ca", &ca]).await.ok();
    let refused = sentinel(["queue", "list", "--server", &url, "--ca", &wrong]).await;
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.err.contains("certificate"), "{refused:?}");
    // Not by name: the certificate is for another host.
    let elsewhere = url.replace("127.0.0.1", "127.0.0.2");
    let refused = sentinel(["queue", "list", "--server", &elsewhere, "--ca", &ca]).await;
    assert_ne!(refused.code, 0, "{refused:?}");
    // In the clear.
    let refused = sentinel(["queue", "list", "--server", &world.server.url()]).await;
    assert_ne!(refused.code, 0, "{refused:?}");
    let _worker = Worker::start(world.dir.path(), &url, "w1", &["--ca", &ca]);
    world.joined("w1", 1).await;
    succeeds(&Client::connect_with(&url, &trusting(&signer)).await.expect("connected")).await;
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_where_one_is_asked_for() {
    let (signer, clients) = (Signer::new("ours"), Signer::new("clients"));
    let place = Place::new(&signer.sign(|_| {}));
    let ca = place.write("ca.pem", &signer.pem());
    let client_ca = place.write("client_ca.pem", &clients.pem());
    let (own, strange) = (clients.sign(|_| {}), signer.sign(|_| {}));
    let cert = place.write("client.pem", &own.cert);
    let key = place.write("client.key", &own.key);
    let world = place.serve(&["--tls-client-ca", &client_ca]).await;
    let url = url(&world);
    let bare = ["queue", "list", "--server", &url, "--ca", &ca];
    let refused = sentinel(bare).await;
    // The end of the connection may overtake the alert that says why.
    assert_eq!(refused.code, 4, "{refused:?}");
    let half = sentinel(bare.iter().chain(&["--cert", &cert])).await;
    assert_eq!(half.code, 2, "{half:?}");
    assert!(half.err.contains("belong together"), "{half:?}");
    sentinel(bare.iter().chain(&["--cert", &cert, "--key", &key])).await.ok();
    let access = trusting(&signer).with_certificate(&strange.cert, &strange.key);
    list(&world, &access).await.expect_err("of another signer");
    let own = trusting(&signer).with_certificate(&own.cert, &own.key);
    list(&world, &own).await.expect("answered");
    let flags = ["--ca", &ca, "--cert", &cert, "--key", &key];
    let _worker = Worker::start(world.dir.path(), &url, "w1", &flags);
    world.joined("w1", 1).await;
    succeeds(&Client::connect_with(&url, &own).await.expect("connected")).await;
}

/// Node and Python, as application and as worker, to a server that asks for a certificate.
async fn other_languages_get_through(language: Language) {
    let (signer, clients) = (Signer::new("ours"), Signer::new("clients"));
    let place = Place::new(&signer.sign(|_| {}));
    let own = clients.sign(|_| {});
    let client_ca = place.write("client_ca.pem", &clients.pem());
    let world = place.serve(&["--tls-client-ca", &client_ca]).await;
    let files = [
        ("TEST_CA", place.write("ca.pem", &signer.pem())),
        ("TEST_CERT", place.write("client.pem", &own.cert)),
        ("TEST_KEY", place.write("client.key", &own.key)),
    ];
    let url = url(&world);
    let _fleet = Worker::start(
        world.dir.path(),
        &url,
        "fleet",
        &[
            "--queues",
            language.name(),
            "--ca",
            &files[0].1,
            "--cert",
            &files[1].1,
            "--key",
            &files[2].1,
        ],
    );
    world.joined("fleet", 1).await;
    let verbs = |files: &[(&str, String)]| {
        let mut verbs = language.program("verbs");
        verbs.arg(&url).envs(files.iter().map(|(name, path)| (name, path)));
        verbs
    };
    assert_eq!(run(verbs(&files)).await.ok(), "all verbs\n");
    // Without a certificate of its own, and trusting somebody else.
    assert_ne!(run(verbs(&files[..1])).await.code, 0);
    let mut other = files.clone();
    other[0].1 = client_ca;
    assert_ne!(run(verbs(&other)).await.code, 0);
    let mut worker = language.worker_at(&url, "w1");
    worker.envs(files.iter().map(|(name, path)| (name, path)));
    let _worker = Process::start(worker, &world.dir.path().join("worker.log"));
    world.joined("w1", 1).await;
}

#[tokio::test]
async fn the_node_client_and_worker_get_through() {
    other_languages_get_through(Language::Node).await;
}

#[tokio::test]
async fn the_python_client_and_worker_get_through() {
    other_languages_get_through(Language::Python).await;
}

async fn started(dir: &Path, flags: &[String]) -> Ended {
    let mut command = Command::new(binary("sentinel"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(dir.join("data")).args(flags);
    run(command).await
}

#[tokio::test]
async fn files_that_do_not_fit_are_told_at_the_start() {
    let signer = Signer::new("ours");
    let good = signer.sign(|_| {});
    let expired = signer.sign(|params| params.not_after = date_time_ymd(2020, 1, 1));
    let early = signer.sign(|params| params.not_before = date_time_ymd(4000, 1, 1));
    let other = signer.sign(|_| {});
    let pair = |cert: &str, key: &str| Pair { cert: cert.to_owned(), key: key.to_owned() };
    let cases = [
        (pair(&expired.cert, &expired.key), "has expired"),
        (pair(&early.cert, &early.key), "does not hold yet"),
        (pair(&good.cert, &other.key), "is not the key of the first certificate"),
        (pair(&good.key, &good.cert), "holds no certificate"),
        (pair(&good.cert, &good.cert), "holds no private key"),
        (pair("", &good.key), "holds no certificate"),
        (
            pair(&good.cert, "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n"),
            "damaged",
        ),
    ];
    for (pair, expected) in cases {
        let place = Place::new(&pair);
        let ended = started(place.dir.path(), &place.flags()).await;
        assert_ne!(ended.code, 0, "{expected}: {ended:?}");
        assert!(ended.err.contains(expected), "{expected}: {ended:?}");
        assert!(!ended.err.contains("PRIVATE KEY-----\n"), "a key is told: {ended:?}");
    }
    let place = Place::new(&good);
    std::fs::remove_file(place.path("server.key")).expect("removed");
    let ended = started(place.dir.path(), &place.flags()).await;
    assert!(ended.err.contains("tls_key") && ended.err.contains("can not be read"), "{ended:?}");
    let ended = started(place.dir.path(), &place.flags()[..2]).await;
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("tls_cert needs tls_key"), "{ended:?}");
}

/// The id of the next job that a watch tells of.
async fn next(events: &mut Streaming<WatchResponse>) -> String {
    loop {
        let event = events.message().await.expect("the watch goes on").expect("and does not end");
        if let Some(Event::Change(change)) = event.event {
            return change.job.expect("a job").id;
        }
    }
}

#[tokio::test]
async fn new_files_are_for_new_connections_and_old_ones_live_on() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let place = Place::new(&old.sign(|_| {}));
    let world = place.serve(&[]).await;
    let first = Client::connect_with(url(&world), &trusting(&old)).await.expect("connected");
    let selector = Some(Selector::Filter(JobFilter::default()));
    let request = WatchRequest { selector, ..Default::default() };
    let mut events = first.raw_jobs().watch(request).await.expect("a watch").into_inner();
    events.message().await.expect("a snapshot");
    // Half of a renewal: the key does not fit the certificate.
    let pair = new.sign(|_| {});
    place.write("server.pem", &pair.cert);
    until("the server says so", PATIENCE, || async {
        world.server.log().contains("the new files are not taken").then_some(())
    })
    .await;
    list(&world, &trusting(&old)).await.expect("as before");
    place.write("server.key", &pair.key);
    until("the new certificate is shown", PATIENCE, || async {
        list(&world, &trusting(&new)).await.ok()
    })
    .await;
    list(&world, &trusting(&old)).await.expect_err("not any more");
    let second = Client::connect_with(url(&world), &trusting(&new)).await.expect("connected");
    let job = second.enqueue(NewJob::new("default", "raw")).await.expect("enqueued").job;
    let told = tokio::time::timeout(PATIENCE, next(&mut events)).await.expect("in time");
    assert_eq!(told, job.id);
    first.get(&job.id).await.expect("on the old connection");
}
