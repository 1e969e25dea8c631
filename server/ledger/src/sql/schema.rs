//! The tables as diesel sees them. The migrations say why each column and index is there.

diesel::table! {
    jobs (id) {
        id -> Binary,
        queue -> Text,
        kind -> Text,
        state -> Integer,
        status -> Binary,
        spec -> Nullable<Binary>,
    }
}

diesel::table! {
    specs (id) {
        id -> Binary,
        spec -> Binary,
    }
}

diesel::table! {
    labels (key, value, job) {
        key -> Text,
        value -> Text,
        job -> Binary,
    }
}

diesel::table! {
    attempts (job, epoch) {
        job -> Binary,
        epoch -> BigInt,
        run -> BigInt,
        attempt -> BigInt,
        outcome -> Integer,
        started_at_ms -> Nullable<BigInt>,
        ended_at_ms -> BigInt,
        worker -> Nullable<Text>,
        error_message -> Nullable<Text>,
        error_code -> Nullable<Text>,
        error_retryable -> Nullable<Bool>,
    }
}

diesel::table! {
    queues (name) {
        name -> Text,
        declaration -> Binary,
    }
}

diesel::table! {
    keys (key) {
        key -> Binary,
        job -> Binary,
        until_ms -> BigInt,
    }
}

diesel::table! {
    checkpoints (shard) {
        shard -> Integer,
        epoch -> BigInt,
        seq -> BigInt,
        at_ms -> BigInt,
    }
}

diesel::table! {
    logs (job, run, attempt, seq) {
        job -> Binary,
        run -> BigInt,
        attempt -> BigInt,
        seq -> BigInt,
        at_ms -> BigInt,
        level -> Integer,
        text -> Text,
    }
}

diesel::table! {
    log_sizes (job, run, attempt) {
        job -> Binary,
        run -> BigInt,
        attempt -> BigInt,
        bytes -> BigInt,
        first_seq -> BigInt,
    }
}

diesel::table! {
    /// Only where a ledger can be carried to.
    moves (shard) {
        shard -> Integer,
        epoch -> BigInt,
        seq -> BigInt,
        directory -> Text,
        step -> Integer,
        moved -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(jobs, labels);
