//! The stored numbers of enums. A number is never reused.

use sentinel_domain::{
    Ack, AttemptOutcome, Backoff, DependencyFailure, Jitter, OnLost, QueueMode, QueueOrder, Reason,
    State, UniqueMode, UniqueScope,
};

use super::CodecError;

macro_rules! codes {
    ($($from:ident, $to:ident, $type:ident, $what:literal: { $($code:literal = $variant:ident,)* })*) => {
        $(
            pub fn $from(value: $type) -> u32 {
                match value { $($type::$variant => $code,)* }
            }

            pub fn $to(code: u32) -> Result<$type, CodecError> {
                match code {
                    $($code => Ok($type::$variant),)*
                    code => Err(CodecError::UnknownCode { what: $what, code }),
                }
            }
        )*
    };
}

codes! {
    from_state, to_state, State, "state": {
        1 = Scheduled, 2 = Blocked, 3 = Ready, 4 = Running,
        5 = Succeeded, 6 = Failed, 7 = Cancelled, 8 = Expired,
    }
    from_reason, to_reason, Reason, "reason": {
        0 = None, 1 = HandlerError, 2 = NotRetryable, 3 = Timeout, 4 = WorkerLost,
        5 = Poisoned, 6 = CancelledByCaller, 7 = Replaced, 8 = DependencyFailed,
        9 = StartDeadline, 10 = Snoozed, 11 = Released, 12 = Deleted,
    }
    from_outcome, to_outcome, AttemptOutcome, "attempt outcome": {
        1 = Failed, 2 = TimedOut, 3 = Lost, 4 = Snoozed,
        5 = Released, 6 = NotReceived, 7 = Cancelled, 8 = Revoked,
    }
    from_backoff, to_backoff, Backoff, "backoff": { 1 = Fixed, 2 = Exponential, }
    from_jitter, to_jitter, Jitter, "jitter": { 1 = None, 2 = Full, }
    from_unique_scope, to_unique_scope, UniqueScope, "unique scope": { 1 = Kind, 2 = Queue, }
    from_unique_mode, to_unique_mode, UniqueMode, "unique mode": {
        1 = ReturnExisting, 2 = Reject, 3 = ReplacePending, 4 = Debounce,
    }
    from_dependency_failure, to_dependency_failure, DependencyFailure, "dependency failure policy": {
        1 = Cancel, 2 = Run,
    }
    from_on_lost, to_on_lost, OnLost, "on_lost policy": { 1 = Retry, 2 = Fail, }
    from_ack, to_ack, Ack, "durability level": { 1 = Store, 2 = Replicated, 3 = Ledger, }
    from_queue_mode, to_queue_mode, QueueMode, "queue mode": {
        0 = Open, 1 = Paused, 2 = Draining,
    }
    from_queue_order, to_queue_order, QueueOrder, "queue order": { 1 = Aging, 2 = Strict, }
}
