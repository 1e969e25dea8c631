//! Every figure, said once: what it is called, what it counts, and which figure of the
//! same run bounds it.

/// One figure of a round.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) key: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    /// What exactly was counted.
    pub(crate) counts: &'static str,
    /// The figure of the same round that it is shown beside.
    pub(crate) ceiling: Option<&'static str>,
}

macro_rules! measures {
    ($($key:literal, $what:literal, $unit:literal, $counts:literal $(, $ceiling:literal)?;)*) => {
        /// All figures in the order of the table.
        pub(crate) const MEASURES: &[Measure] = &[$(Measure {
            key: $key,
            what: $what,
            unit: $unit,
            counts: $counts,
            ceiling: measures!(@ceiling $($ceiling)?),
        },)*];
    };
    (@ceiling) => { None };
    (@ceiling $ceiling:literal) => { Some($ceiling) };
}

measures! {
    "fdatasync_ms", "append of 4 KiB and fdatasync", "ms",
        "median of 200 in the data directory; each commit of the server does one";
    "redis_hset_per_s", "Redis alone, HSET pipelined", "writes/s",
        "redis-benchmark, 256 in a pipeline, 130 B, appendfsync always";
    "echo_alone_ms", "echo alone, p50", "ms", "bare tonic, 1 call in flight";
    "echo_per_s", "echo, 64 in flight", "calls/s", "bare tonic, 1 connection, 130 B payload";
    "echo_batch_per_s", "echo of 100 per call, 8 in flight", "jobs/s", "bare tonic";
    "enqueue_alone_ms", "Enqueue alone, p50", "ms",
        "durable, fsynced; 1 call in flight", "echo_alone_ms";
    "enqueue_per_s", "Enqueue, 64 in flight", "jobs/s",
        "durable; raw tonic client, no request id", "echo_per_s";
    "enqueue_share", "  share of the echo", "%", "of the same round, alternating";
    "enqueue_p50_ms", "  p50", "ms", "of the calls above";
    "enqueue_p99_ms", "  p99", "ms", "of the calls above";
    "enqueue_cpu_us", "  CPU of the server", "us/job", "user and system, ledger included";
    "enqueue_sdk_per_s", "Enqueue by the SDK, 64 in flight", "jobs/s",
        "durable; with a request id each", "echo_per_s";
    "batch_per_s", "EnqueueBatch of 100, 8 in flight", "jobs/s",
        "durable; the ledger writes meanwhile", "echo_batch_per_s";
    "batch_share", "  share of the echo", "%", "of the same round, alternating";
    "batch_cpu_us", "  CPU of the server", "us/job", "user and system, ledger included";
    "ingest_per_s", "Ingest, 8 streams", "jobs/s",
        "by the SDK; items told as committed, durable", "echo_batch_per_s";
    "ingest_cpu_us", "  CPU of the server", "us/job", "user and system, ledger included";
    "preload_per_s", "preload of burn", "jobs/s", "EnqueueBatch of 100, 8 in flight";
    "burn_per_s", "burn-down", "jobs/s",
        "preloaded; start of 1 worker process to the last durable record", "echo_batch_per_s";
    "burn_server_cpu_us", "  CPU of the server", "us/job", "ledger included";
    "burn_worker_cpu_us", "  CPU of the worker", "us/job", "user and system";
    "burn_redis_cpu_us", "  CPU of Redis", "us/job", "user and system";
    "burn_jobs_per_commit", "  jobs per commit", "jobs", "each job is in two: claim and report";
    "burn_catch_up_s", "  ledger catch-up", "s", "last record to all rows final in the ledger";
    "burn_in_ledger_per_s", "burn-down with the ledger", "jobs/s",
        "start of the worker to all rows final in the ledger";
    "due_per_s", "all due in one second", "jobs/s",
        "preloaded with one run_at; that moment to the last durable record", "burn_per_s";
    "due_share", "  share of burn-down", "%", "of the same round";
    "start_p50_ms", "enqueue to handler, p50", "ms",
        "1,000 jobs/s, open loop, by the SDK: call to first line of the handler", "echo_alone_ms";
    "start_p99_ms", "  p99", "ms", "of the same jobs";
    "start_p999_ms", "  p99.9", "ms", "of the same jobs";
    "cancel_p50_ms", "cancel to handler, p50", "ms",
        "500 cancels one after another: call to the handler that sees it", "echo_alone_ms";
    "cancel_p99_ms", "  p99", "ms", "of the same cancels";
    "steady_per_s", "steady state", "jobs/s",
        "enqueue (100 per call), run and record at once; durable records", "echo_batch_per_s";
    "steady_server_cpu_us", "  CPU of the server", "us/job", "ledger included";
    "steady_lag_s", "  ledger lag at the end", "s", "age of the oldest change not in the ledger";
    "memory_b", "memory of a waiting job", "B", "resident, without the 130 B payload";
    "memory_redis_b", "  in Redis", "B", "used_memory, without the 130 B payload";
    "restart_s", "start after kill -9", "s", "all preloaded jobs live; until a Get answers";
}
