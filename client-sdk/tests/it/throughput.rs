//! How many no-op jobs a second pass through one worker, with the peer on the same machine.

use std::time::Instant;

use sentinel_client::proto::workers::v1::session_request::Frame as Up;
use sentinel_client::proto::workers::v1::session_response::Frame as Down;
use sentinel_client::proto::workers::v1::{ReportAck, ReportVerdict, Verdict};
use sentinel_client::worker::Context;

use crate::peer::{Peer, Running, job};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement; run it with --release --ignored --nocapture"]
async fn soak_burn_down() {
    const JOBS: u32 = 500_000;
    let mut peer = Peer::listen().await;
    let noop = async |_: Context| ();
    let _worker = Running::start(peer.worker().handler("noop", noop).concurrency(2000));
    let (mut stream, hello) = peer.greet().await;
    let mut room = hello.credit.unwrap().jobs;
    let (mut assigned, mut reported, mut report_frames) = (0u32, 0u32, 0u32);
    let start = Instant::now();
    while reported < JOBS {
        while room > 0 && assigned < JOBS {
            let batch = room.min(256).min(JOBS - assigned);
            let ids =
                (assigned..assigned + batch).map(|n| format!("01890000-0000-7000-8000-{n:012}"));
            stream.assign(ids.map(|id| job(&id, "noop")).collect()).await;
            room -= batch;
            assigned += batch;
        }
        match stream.next().await.unwrap() {
            Up::Credit(credit) => room += credit.jobs,
            Up::Report(report) => {
                report_frames += 1;
                reported += u32::try_from(report.items.len()).unwrap();
                let verdict = Verdict::Recorded.into();
                let items = report.items.into_iter();
                let items = items.map(|item| ReportVerdict { lease: item.lease, verdict });
                stream.send(Down::ReportAck(ReportAck { items: items.collect() })).await;
            }
            _ => {}
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{JOBS} jobs in {seconds:.2} s: {:.0} jobs/s, {:.0} reports a frame",
        f64::from(JOBS) / seconds,
        f64::from(JOBS) / f64::from(report_frames)
    );
}
