//! Conversion of handler results, and the limits of the protocol.

use super::*;

#[test]
fn an_error_keeps_the_messages_of_its_causes() {
    fn read() -> Result<String, HandlerError> {
        Ok(std::fs::read_to_string("/does/not/exist")?)
    }
    let Outcome::Fail(error) = Outcome::from(read()) else { panic!("expected a failure") };
    assert!(error.is_retryable());
    assert!(error.message().contains("No such file"), "{}", error.message());
}

#[test]
fn an_oversized_result_fails_without_a_retry() {
    let largest = Outcome::Succeed(vec![0; MAX_RESULT_BYTES].into()).into_wire();
    assert!(matches!(largest, report_item::Outcome::Succeeded(_)));
    match Outcome::Succeed(vec![0; MAX_RESULT_BYTES + 1].into()).into_wire() {
        report_item::Outcome::Failed(Failed { error: Some(error), .. }) => {
            assert_eq!(error.code, "RESULT_TOO_LARGE");
            assert!(!error.retryable);
        }
        other => panic!("{other:?}"),
    }
}
