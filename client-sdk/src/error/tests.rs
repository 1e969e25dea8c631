//! Decoding of google.rpc error details.

use std::collections::HashMap;

use tonic_types::ErrorDetails;

use super::*;

#[test]
fn error_details_are_decoded() {
    let mut details = ErrorDetails::new();
    details.set_error_info("QUEUE_NAME_INVALID", "sentinel", HashMap::new());
    details.add_bad_request_violation("spec.queue", "1..128 characters");
    details.set_retry_info(Some(Duration::from_secs(2)));
    let status =
        Status::with_error_details(Code::InvalidArgument, "spec.queue is not a name", details);
    match Error::from(status) {
        Error::Api { code, reason, message, field_violations, retry_after } => {
            assert_eq!(code, Code::InvalidArgument);
            assert_eq!(reason, "QUEUE_NAME_INVALID");
            assert_eq!(message, "spec.queue is not a name");
            assert_eq!(field_violations[0].field, "spec.queue");
            assert_eq!(retry_after, Some(Duration::from_secs(2)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_status_without_details_is_an_api_error() {
    let error = Error::from(Status::unavailable("proxy error"));
    assert_eq!(error.reason(), None);
    assert!(error.is_unavailable());
    assert_eq!(error.to_string(), "proxy error");
}

#[test]
fn permanent_errors_close_streams() {
    for code in [
        Code::InvalidArgument,
        Code::NotFound,
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::Unimplemented,
    ] {
        assert!(Error::from(Status::new(code, "")).closes_streams(), "{code:?}");
    }
    for code in [Code::Unavailable, Code::Internal, Code::ResourceExhausted, Code::Unknown] {
        assert!(!Error::from(Status::new(code, "")).closes_streams(), "{code:?}");
    }
}
