//! Errors of all kinds become errors with a text, a bounded detail and the right effect.

use std::io;

use super::*;
use crate::proto::workers::v1::report_item;
use crate::worker::Outcome;

type BoxError = Box<dyn StdError + Send + Sync>;

/// An error that does something odd when it is read.
#[derive(Debug, Clone, Copy)]
enum Hostile {
    Panics,
    Refuses,
    Endless,
    OwnCause,
    PanickingCause,
    Empty,
}

impl fmt::Display for Hostile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hostile::Panics => panic!("no text"),
            Hostile::Refuses => Err(fmt::Error),
            Hostile::Endless => loop {
                f.write_str("é€🦀")?;
            },
            Hostile::Empty => Ok(()),
            Hostile::OwnCause | Hostile::PanickingCause => f.write_str("hostile"),
        }
    }
}

impl StdError for Hostile {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Hostile::OwnCause => Some(&Hostile::OwnCause),
            Hostile::PanickingCause => panic!("no cause"),
            _ => None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer(#[source] BoxError);

fn reported(outcome: Outcome) -> ErrorParts {
    match outcome.into_wire() {
        report_item::Outcome::Failed(failed) => {
            let error = failed.error.expect("a failure with an error");
            ErrorParts {
                message: error.message,
                code: error.code,
                retryable: error.retryable,
                next_delay: None,
                detail: error.detail,
            }
        }
        other => panic!("expected a failure, got {other:?}"),
    }
}

/// Every hostile error, bare and below up to three others, fails the attempt with a bounded text.
#[test]
fn hostile_errors_fail_the_attempt_with_a_text() {
    use Hostile::*;
    for hostile in [Panics, Refuses, Endless, OwnCause, PanickingCause, Empty] {
        for depth in 0..4 {
            let mut error: BoxError = Box::new(hostile);
            for _ in 0..depth {
                error = Box::new(Outer(error));
            }
            let parts = reported(Outcome::from(Err::<(), _>(error)));
            assert!(parts.retryable && !parts.message.is_empty(), "{hostile:?}");
            assert!(parts.message.len() <= MAX_TEXT_BYTES, "{hostile:?}");
            assert!(parts.detail.len() <= MAX_TEXT_BYTES, "{hostile:?}");
        }
    }
}

#[test]
fn the_detail_has_all_causes_and_the_place_of_the_question_mark() {
    fn fails() -> Result<(), HandlerError> {
        let inner = io::Error::other("innermost");
        Err(Outer(Box::new(Outer(Box::new(inner)))))?;
        Ok(())
    }
    let parts = reported(Outcome::from(fails()));
    assert_eq!(parts.message, "outer: outer: innermost");
    assert!(parts.detail.starts_with("outer\ncaused by: outer\ncaused by: innermost\nat "));
    assert!(parts.detail.contains("handler_error/tests.rs:"), "{}", parts.detail);
    let parts = reported(Outcome::from(Err::<(), _>(HandlerError::retryable(""))));
    assert_eq!(parts.message, "(no message)");
    assert!(parts.detail.contains("handler_error/tests.rs:"), "{}", parts.detail);
}

/// What an error says about retries is kept through every way in which handlers wrap errors.
#[test]
fn the_effect_survives_wrappers() {
    use anyhow::Context;
    let permanent = || HandlerError::non_retryable("bad input").with_code("E1");
    let failures: Vec<Outcome> = vec![
        Outcome::from(Err::<(), HandlerError>(permanent())),
        Outcome::from(Err::<(), BoxError>(permanent().into())),
        Outcome::from(Err::<(), BoxError>(Box::new(Outer(permanent().into())))),
        Outcome::from(Err::<(), anyhow::Error>(permanent().into_error().into())),
        Outcome::from(Err::<(), _>(permanent().into_error()).context("outer")),
        Outcome::from(Err::<(), _>(permanent().into_error()).context("a").context("b")),
        Outcome::from(Err::<(), _>(HandlerError::from(permanent().into_error()))),
    ];
    for outcome in failures {
        let parts = reported(outcome);
        assert_eq!((parts.code.as_str(), parts.retryable), ("E1", false), "{}", parts.message);
        assert!(parts.message.ends_with("bad input"), "{}", parts.message);
        assert!(parts.detail.contains("handler_error/tests.rs:"), "{}", parts.detail);
    }
    let snooze = || HandlerError::snooze(Duration::from_secs(3)).into_error();
    let wrapped = Outcome::from(Err::<(), _>(snooze()).context("not yet"));
    assert!(matches!(wrapped, Outcome::Snooze(delay) if delay.as_secs() == 3), "{wrapped:?}");
    let released = Outcome::from(Err::<(), _>(HandlerError::release()));
    assert!(matches!(released, Outcome::Release), "{released:?}");
}

#[test]
fn errors_of_common_types_are_accepted() {
    for outcome in [
        Outcome::from(Err::<(), _>("text")),
        Outcome::from(Err::<(), _>("text".to_owned())),
        Outcome::from(Err::<(), _>(io::Error::other("text"))),
        Outcome::from(Err::<(), _>(anyhow::anyhow!("text"))),
        Outcome::from(Err::<(), BoxError>("text".into())),
    ] {
        let parts = reported(outcome);
        assert_eq!((parts.message.as_str(), parts.retryable), ("text", true));
    }
}
