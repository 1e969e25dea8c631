//! A server of a later version, and one that breaks the contract.

use prost::Message;
use sentinel_proto::workers::v1::session_response::Frame as Down;
use sentinel_proto::workers::v1::{
    Assign, HeldVerdict, ReportAck, ReportVerdict, SessionResponse, Verdict,
};
use serde_json::json;

use super::{job, job_id, lease, result};
use crate::Runtime;
use crate::peer::{Peer, Stream, welcome};

/// A field that no version knows: number 1000, two bytes.
const UNKNOWN_FIELD: [u8; 5] = [0xc2, 0x3e, 2, 7, 7];

async fn with_unknown_fields(stream: &Stream, frame: Down) {
    let mut message = SessionResponse { frame: Some(frame) }.encode_to_vec();
    message.extend(UNKNOWN_FIELD);
    stream.send_bytes(message).await;
}

/// Frames, fields and values that a later version may bring are no reason to stop.
pub(super) async fn unknown_things(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (mut stream, _) = peer.hello().await;
    with_unknown_fields(&stream, Down::Welcome(welcome("s1", &[]))).await;
    // A message with no frame at all, and one with a frame that is not known.
    stream.send_bytes(vec![]).await;
    stream.send_bytes(UNKNOWN_FIELD.to_vec()).await;
    stream.assign_seq = 1;
    let items = vec![job("j1", "echo", json!(1))];
    with_unknown_fields(&stream, Down::Assign(Assign { assign_seq: 1, items })).await;
    let first = stream.report_item().await;
    assert_eq!(result(&first), "1");
    // A verdict that is not known settles nothing.
    let lease_of = Some(lease("j1"));
    let items = vec![ReportVerdict { lease: lease_of, verdict: 99 }];
    stream.send(Down::ReportAck(ReportAck { items })).await;
    assert_eq!(stream.report_item().await, first);
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    stream.assign(vec![job("j2", "echo", json!(2))]).await;
    assert_eq!(job_id(&stream.report_item().await), "j2");
    stream.cut().await;
    // Nor does such a verdict on a held lease: the one on its report will tell.
    let (mut stream, hello) = peer.hello().await;
    assert_eq!(hello.held, [lease("j2")]);
    let mut odd = welcome("s1", &[HeldVerdict::Keep]);
    odd.held = vec![99];
    stream.send(Down::Welcome(odd)).await;
    assert_eq!(job_id(&stream.report_item().await), "j2");
}

/// A Welcome that does not fit its Hello is not one; the worker tries again.
pub(super) async fn broken_welcome(runtime: Runtime) {
    let mut peer = Peer::listen().await;
    let _worker = runtime.start(&peer, &[]);
    let (stream, _) = peer.hello().await;
    stream.welcome("s1", &[HeldVerdict::Keep]).await; // a verdict that nobody asked for
    let (stream, hello) = peer.hello().await;
    assert_eq!(hello.session, "");
    stream.welcome("", &[]).await; // no session
    let (stream, _) = peer.hello().await;
    stream.ack(&lease("j1"), Verdict::Recorded).await; // no Welcome
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    assert_eq!(result(&stream.report_item().await), "1");
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    stream.welcome("s1", &[]).await; // a second one
    peer.greet().await;
}
