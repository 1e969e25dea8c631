//! Snapshot tests of the table, the fields and the counts of jobs.

use proptest::prelude::*;
use sentinel_client::proto::jobs::v1::{JobError, JobState, StateCount};

use super::super::super::tests::{ID, Sink, ago, job};
use super::*;

#[test]
fn a_piped_list_is_a_plain_table() {
    let sink = Sink::default();
    let mut out = sink.pipe(false);
    let mut failed = job(JobState::Failed);
    failed.error = Some(JobError { message: "550 no such user".to_owned(), ..JobError::default() });
    let rows = vec![row(&job(JobState::Succeeded), &out), row(&failed, &out)];
    table::write(&mut out, &HEADER, rows).unwrap();
    let expected = format!(
        "ID{pad}  STATE      QUEUE  KIND       ATTEMPT  AGE  DETAILS\n\
         {ID}  succeeded  mail   mail.send  1        90s\n\
         {ID}  failed     mail   mail.send  1        90s  550 no such user\n",
        pad = " ".repeat(ID.len() - 2),
    );
    assert_eq!(sink.text(), expected);
}

#[test]
fn the_detail_of_an_error_is_printed_below_the_fields() {
    let sink = Sink::default();
    let mut failed = job(JobState::Failed);
    let detail = "SmtpError: 550\n    at send \u{1b}[2J(mail.js:7)".to_owned();
    failed.error = Some(JobError { message: "550".to_owned(), detail, ..JobError::default() });
    print(&failed, &mut sink.pipe(false)).unwrap();
    let indent = " ".repeat(13);
    let expected = format!("\n{indent}SmtpError: 550\n{indent}    at send  [2J(mail.js:7)\n");
    assert!(sink.text().ends_with(&expected), "{}", sink.text());
}

/// The characters of which escape sequences consist, and those that reverse text.
fn hostile_char() -> impl Strategy<Value = char> {
    prop::sample::select(vec![
        '\u{1b}', '[', '3', '1', ';', 'm', 'J', '\u{9b}', '\u{7}', '\r', '\n', '\u{202e}',
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_text_of_a_job_controls_the_terminal(
        // Not any::<String>(), which has no control characters.
        text in prop::collection::vec(prop_oneof![any::<char>(), hostile_char()], 0..24)
            .prop_map(String::from_iter),
        colors in any::<bool>(),
    ) {
        let mut hostile = job(JobState::Failed);
        let spec = hostile.spec.as_mut().unwrap();
        spec.labels = [(text.clone(), text.clone())].into();
        (spec.queue, spec.kind) = (text.clone(), text.clone());
        hostile.worker = text.clone();
        let error = JobError { message: text.clone(), detail: text, ..JobError::default() };
        hostile.error = Some(error);
        let sink = Sink::default();
        let mut out = sink.pipe(false);
        out.colors = colors;
        print(&hostile, &mut out).unwrap();
        let cells = vec![row(&hostile, &out)];
        table::write(&mut out, &HEADER, cells).unwrap();
        let printed = sink.text();
        // The only escapes are those of the colours that the CLI sets itself.
        let mut plain = String::new();
        for (at, part) in printed.split("\u{1b}[").enumerate() {
            let after_color = part.split_once('m').map(|(_, rest)| rest);
            plain.push_str(if at == 0 { part } else { after_color.unwrap_or("\u{1b}") });
        }
        let is_safe = |c: char| !c.is_control() || c == '\n';
        prop_assert!(plain.chars().all(is_safe), "{printed:?}");
        prop_assert!(!plain.contains('\u{202e}'), "{printed:?}");
    }
}

#[test]
fn the_set_fields_of_a_job_are_printed() {
    let mut job = job(JobState::Succeeded);
    job.started_at = ago(60);
    job.finished_at = ago(57);
    job.worker = "box-17".to_owned();
    job.result = bytes::Bytes::from_static(b"\xff");
    let text: Vec<String> = fields(&job, &Sink::default().pipe(false))
        .into_iter()
        .map(|(name, text)| format!("{name}={text}"))
        .collect();
    assert_eq!(
        text,
        [
            format!("id={ID}").as_str(),
            "state=✔ succeeded",
            "queue=mail",
            "kind=mail.send",
            "priority=0",
            "run=1",
            "attempt=1 of 3",
            "worker=box-17",
            "labels=shop=42",
            "created=2027-01-15T07:58:30Z (90s)",
            "started=2027-01-15T07:59:00Z (60s)",
            "finished=2027-01-15T07:59:03Z (57s)",
            "took=3s",
            "payload={\"to\":\"a@example.org\"}",
            "result=1 bytes, not JSON; --json prints them as base64",
        ]
    );
}

#[test]
fn counts_have_one_column_per_state() {
    let sink = Sink::default();
    let mut out = sink.pipe(false);
    let state = |state: JobState, count, capped| StateCount { state: state.into(), count, capped };
    let counts = QueueCounts {
        queue: "mail".to_owned(),
        states: vec![state(JobState::Ready, 7, false), state(JobState::Failed, 1_000_000, true)],
    };
    table::write(&mut out, &["QUEUE"; 9], vec![counts_row(&counts)]).unwrap();
    let last: Vec<String> =
        sink.text().lines().last().unwrap().split_whitespace().map(str::to_owned).collect();
    assert_eq!(last, ["mail", "0", "0", "7", "0", "0", "1000000+", "0", "0"]);
}
