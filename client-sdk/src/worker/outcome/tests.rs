//! What handlers may return, and the limits of the wire.

use super::*;

#[test]
fn question_mark_keeps_the_causes() {
    fn read() -> Result<String, HandlerError> {
        Ok(std::fs::read_to_string("/does/not/exist")?)
    }
    let Outcome::Fail(error) = Outcome::from(read()) else { panic!("expected a failure") };
    assert!(error.is_retryable());
    assert!(error.message().contains("No such file"), "{}", error.message());
}

#[test]
fn a_result_over_the_limit_fails_for_good() {
    let just_fits = Outcome::Succeed(vec![0; MAX_RESULT_BYTES].into()).into_wire();
    assert!(matches!(just_fits, report_item::Outcome::Succeeded(_)));
    match Outcome::Succeed(vec![0; MAX_RESULT_BYTES + 1].into()).into_wire() {
        report_item::Outcome::Failed(Failed { error: Some(error), .. }) => {
            assert_eq!(error.code, "RESULT_TOO_LARGE");
            assert!(!error.retryable);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_are_cut_at_a_character() {
    assert_eq!(cut("aé".to_owned(), 2), "a");
    assert_eq!(cut("aé".to_owned(), 3), "aé");
}
