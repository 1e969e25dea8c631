//! `sentinel job ingest`: the lines of a file, killed and run again.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sentinel_faults::{Direction, Proxy};
use serde_json::json;
use tokio::process::Command;

use crate::harness::{Ended, PATIENCE, World, binary, sentinel, until};

async fn ingest(world: &World, file: &Path, more: &[&str]) -> Ended {
    let (url, file) = (world.server.url(), file.to_str().expect("a path"));
    let args = ["job", "ingest", file, "--producer", "orders", "--server", &url];
    sentinel(args.iter().chain(more)).await
}

async fn count(world: &World) -> u64 {
    let client = world.client();
    let counts = client.counts(Vec::new()).await.expect("counts");
    counts.queues.iter().flat_map(|queue| &queue.states).map(|state| state.count).sum()
}

async fn counted(world: &World, jobs: u64) {
    until(&format!("the ledger has {jobs} jobs"), PATIENCE, || async {
        (count(world).await == jobs).then_some(())
    })
    .await;
}

#[tokio::test]
async fn lines_are_jobs_once_and_what_is_refused_is_told() {
    let world = World::with(&[]).await;
    sentinel(["queue", "create", "mail", "--server", &world.server.url()]).await.ok();
    let file = world.dir.path().join("orders.ndjson");
    let lines = [
        r#"{"kind":"mail.send","queue":"mail","payload":{"to":"a"},"priority":3}"#,
        r#"{"queue":"mail","labels":{"shop":"42"},"runAt":"10m"}"#,
        r#"{"queue":"missing"}"#,
        r#"{"queue":"mail","priority":10}"#,
        r#"{"queue":"mail"}"#,
    ];
    std::fs::write(&file, lines.join("\n")).expect("written");
    let first = ingest(&world, &file, &["--kind", "order.ship"]).await;
    assert_eq!(
        (first.code, first.out.as_str()),
        (1, "5 lines committed, 2 refused\n"),
        "{first:?}"
    );
    let told: Vec<&str> = first.err.lines().collect();
    assert_eq!(told.len(), 2, "{first:?}");
    assert!(told[0].starts_with("line 3: ") && told[0].ends_with("(QUEUE_NOT_FOUND)"), "{first:?}");
    assert!(
        told[1].starts_with("line 4: spec.priority ") && told[1].contains("0..=9"),
        "{first:?}"
    );
    counted(&world, 3).await;
    // Again, with a line more, and one that can not be read.
    let mut more = lines.join("\n");
    more.push_str("\n{\"queue\":\"mail\"}\n{\"que\":1}\n");
    std::fs::write(&file, &more).expect("written");
    let again = ingest(&world, &file, &["--kind", "order.ship"]).await;
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.out.contains("6 lines committed, 5 of them before"), "{again:?}");
    assert!(again.err.contains("FILE: line 7 can not be read: unknown field"), "{again:?}");
    counted(&world, 4).await;
    std::fs::write(&file, more.replace("que\":1", "kind\":\"b\",\"queue\":\"mail\""))
        .expect("written");
    let mended = ingest(&world, &file, &["--json"]).await;
    let told = mended.json();
    assert_eq!((mended.code, told.len()), (1, 3), "{mended:?}");
    assert_eq!((&told[0]["line"], &told[0]["reason"]), (&json!(3), &json!("QUEUE_NOT_FOUND")));
    assert_eq!(told[2], json!({ "committed": 7, "sent": 1, "refused": 2 }));
    counted(&world, 5).await;
    std::fs::write(&file, lines[0]).expect("written");
    let other = ingest(&world, &file, &[]).await;
    assert_eq!(other.code, 2, "{other:?}");
    assert!(other.err.contains("7 lines committed") && other.err.contains("has 1"), "{other:?}");
}

#[tokio::test]
async fn a_command_that_was_killed_goes_on_when_it_is_run_again() {
    const LINES: u64 = 3_000;
    let world = World::start().await;
    let file = world.dir.path().join("orders.ndjson");
    let mut text = String::new();
    for number in 0..LINES {
        writeln!(text, "{{\"payload\":{number}}}").expect("written");
    }
    std::fs::write(&file, text).expect("written");
    // So slow that it is killed on its way.
    let proxy = Proxy::start(world.server.socket_address()).await.expect("a proxy");
    proxy.delay(Direction::Down, Duration::from_millis(300));
    let mut command = Command::new(binary("sentinel"));
    command.args(["job", "ingest"]).arg(&file).args(["--producer", "orders", "--kind", "a"]);
    command.arg("--server").arg(format!("http://{}", proxy.address()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().expect("started");
    until("some lines are jobs", PATIENCE, || async { (count(&world).await > 0).then_some(()) })
        .await;
    child.kill().await.expect("killed");
    let rest = ingest(&world, &file, &["--kind", "a"]).await.ok();
    assert!(rest.starts_with("3000 lines committed, "), "{rest}");
    counted(&world, LINES).await;
    let nothing = ingest(&world, &file, &["--kind", "a"]).await.ok();
    assert_eq!(nothing, "3000 lines committed, 3000 of them before, 0 refused\n");
    counted(&world, LINES).await;
}
