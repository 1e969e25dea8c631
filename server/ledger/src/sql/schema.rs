//! The tables for diesel. The comments in the migrations explain the columns and indexes.

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
        error_detail -> Nullable<Text>,
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
    producers (id) {
        id -> Text,
        answer -> Binary,
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
    outputs (job, run, attempt, epoch, piece) {
        job -> Binary,
        run -> BigInt,
        attempt -> BigInt,
        epoch -> BigInt,
        piece -> BigInt,
        start_byte -> BigInt,
        end_byte -> BigInt,
        data -> Binary,
    }
}

diesel::table! {
    /// The state of an import. Only in databases that an import can write to.
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

diesel::table! {
    api_keys (id) {
        id -> BigInt,
        secret_hash -> Binary,
        name -> Text,
        role -> Integer,
        queues -> Text,
        created_at_ms -> BigInt,
        created_by -> Text,
        expires_at_ms -> Nullable<BigInt>,
        revoked_at_ms -> Nullable<BigInt>,
        last_used_at_ms -> Nullable<BigInt>,
    }
}

diesel::table! {
    key_changes (shard) {
        shard -> Integer,
        seq -> BigInt,
    }
}

diesel::table! {
    audit (id) {
        id -> Binary,
        actor -> Text,
        key_id -> Nullable<BigInt>,
        action -> Text,
        target -> Text,
        peer -> Text,
        request_id -> Text,
        outcome -> Text,
    }
}

diesel::table! {
    kinds (name) {
        name -> Text,
        description -> Text,
        input_schema -> Text,
        declared_at_ms -> BigInt,
        seen_at_ms -> BigInt,
    }
}
