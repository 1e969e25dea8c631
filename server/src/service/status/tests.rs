use super::*;

#[test]
fn the_errors_document_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
    if std::env::var_os("SENTINEL_UPDATE").is_some() {
        std::fs::write(path, to_markdown()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        committed,
        to_markdown(),
        "docs/errors.md is out of date: run the test with SENTINEL_UPDATE=1"
    );
}

#[test]
fn every_error_has_a_reason_and_code_of_the_catalogue() {
    let id = sentinel_domain::JobId::new(1, 0, 1);
    let errors = [
        EngineError::invalid("spec.kind", "is empty"),
        EngineError::JobNotFound(id),
        EngineError::QueueNotFound("q".into()),
        EngineError::QueueNotAllowed("q".into()),
        EngineError::KindNotFound("k".into()),
        EngineError::WorkerNotFound(sentinel_domain::WorkerId::from_u128(1)),
        EngineError::QueueExists("q".into()),
        EngineError::QueueDraining("q".into()),
        EngineError::TooManyQueues { max: 1 },
        EngineError::TooManyKinds { queue: "q".into(), max: 1 },
        EngineError::KeyHeld { holder: id },
        EngineError::RequestIdReused,
        EngineError::NotTerminal(id),
        EngineError::JobRunning(id),
        EngineError::NotScheduled { id, state: sentinel_domain::State::Ready },
        EngineError::AlreadyStarted { id, state: sentinel_domain::State::Running },
        EngineError::VersionMismatch { id, expected: 1, actual: 2 },
        EngineError::ProducerTakenOver,
        EngineError::Contended,
        EngineError::Overloaded,
        EngineError::TooManyProducers,
        EngineError::NotYetSafe { level: sentinel_domain::Ack::Ledger, reason: "x".into() },
        EngineError::ShuttingDown,
        EngineError::Store(StoreError::OutcomeUnknown("x".into())),
        EngineError::Store(StoreError::Unavailable("x".into())),
        EngineError::Store(StoreError::Full("x".into())),
        EngineError::Store(StoreError::RolledBack("x".into())),
        EngineError::Store(StoreError::Damaged("x".into())),
        EngineError::Store(StoreError::Closed),
    ];
    let others = [
        protocol_error("x"),
        credential_missing(),
        credential_invalid(),
        credential_ended(Some(KeyRejection::Expired)),
        credential_ended(Some(KeyRejection::Revoked)),
        role_not_allowed(Role::Viewer, "x"),
        queue_not_allowed("x"),
        all_queues_required("x"),
        keys_stale(),
        key_not_found(KeyId(1)),
        too_many_keys("x".into()),
    ];
    let mut seen = Vec::new();
    for status in errors.map(to_status).into_iter().chain(others) {
        let info = status.get_details_error_info().expect("every status has an ErrorInfo");
        let reason = CATALOGUE.iter().find(|r| r.name == info.reason).expect("in the catalogue");
        assert_eq!((status.code(), info.domain.as_str()), (reason.code, DOMAIN));
        seen.push(info.reason);
    }
    for reason in CATALOGUE {
        assert!(seen.iter().any(|s| s == reason.name), "no error has the reason {}", reason.name);
    }
}
