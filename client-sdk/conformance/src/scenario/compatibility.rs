//! Servers with a newer protocol version, and servers that violate the protocol.

use prost::Message;
use sentinel_proto::workers::v1::session_response::Frame as ResponseFrame;
use sentinel_proto::workers::v1::{
    Assign, HeldVerdict, ReportAck, ReportVerdict, SessionResponse, Verdict,
};
use serde_json::json;

use crate::WorkerProgram;
use crate::fixtures::{job, job_id, lease, result};
use crate::scripted_server::{ScriptedServer, SessionStream, welcome};

/// A field that no version defines: number 1000, two bytes.
const UNKNOWN_FIELD: [u8; 5] = [0xc2, 0x3e, 2, 7, 7];

async fn send_with_unknown_field(stream: &SessionStream, frame: ResponseFrame) {
    let mut message = SessionResponse { frame: Some(frame) }.encode_to_vec();
    message.extend(UNKNOWN_FIELD);
    stream.send_bytes(message).await;
}

/// Unknown frames, fields and enum values of a newer version are ignored.
pub(super) async fn unknown_fields_and_frames(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (mut stream, _) = server.accept_hello().await;
    send_with_unknown_field(&stream, ResponseFrame::Welcome(welcome("s1", &[]))).await;
    // A message without a frame, and one with an unknown frame.
    stream.send_bytes(vec![]).await;
    stream.send_bytes(UNKNOWN_FIELD.to_vec()).await;
    stream.assign_seq = 1;
    let items = vec![job("j1", "echo", json!(1))];
    send_with_unknown_field(&stream, ResponseFrame::Assign(Assign { assign_seq: 1, items })).await;
    let first = stream.report_item().await;
    assert_eq!(result(&first), "1");
    // An unknown verdict does not settle a report.
    let lease_of = Some(lease("j1"));
    let items = vec![ReportVerdict { lease: lease_of, verdict: 99 }];
    stream.send(ResponseFrame::ReportAck(ReportAck { items })).await;
    assert_eq!(stream.report_item().await, first);
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    stream.assign(vec![job("j2", "echo", json!(2))]).await;
    assert_eq!(job_id(&stream.report_item().await), "j2");
    stream.disconnect().await;
    // An unknown verdict on a held lease is ignored: the one on its report follows.
    let (mut stream, hello) = server.accept_hello().await;
    assert_eq!(hello.held, [lease("j2")]);
    let mut unknown_verdict = welcome("s1", &[HeldVerdict::Keep]);
    unknown_verdict.held = vec![99];
    stream.send(ResponseFrame::Welcome(unknown_verdict)).await;
    assert_eq!(job_id(&stream.report_item().await), "j2");
}

/// After an invalid Welcome the worker reconnects.
pub(super) async fn invalid_welcome(program: WorkerProgram) {
    let mut server = ScriptedServer::start().await;
    let _worker = program.start(&server, &[]);
    let (stream, _) = server.accept_hello().await;
    stream.welcome("s1", &[HeldVerdict::Keep]).await; // a verdict without a lease
    let (stream, hello) = server.accept_hello().await;
    assert_eq!(hello.session, "");
    stream.welcome("", &[]).await; // no session
    let (stream, _) = server.accept_hello().await;
    stream.ack(&lease("j1"), Verdict::Recorded).await; // no Welcome
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "echo", json!(1))]).await;
    assert_eq!(result(&stream.report_item().await), "1");
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    stream.welcome("s1", &[]).await; // a second Welcome
    server.accept_session().await;
}
