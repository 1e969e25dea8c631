//! The faults that can be injected.

mod inject;
mod network;

/// A fault. "Workers" and "Clients" in a name mean the connections from them to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL, then a start.
    KillServer,
    /// SIGTERM, then a start.
    StopServer,
    /// SIGSTOP, then SIGCONT.
    FreezeServer,
    /// SIGKILL, then a start of another worker.
    KillWorker,
    /// SIGTERM, then a start of another worker.
    StopWorker,
    FreezeWorker,
    CutWorkers,
    CutClients,
    /// Closes the connections and refuses new ones.
    IsolateWorkers,
    StallUp,
    StallDown,
    StallClients,
    SlowWorkers,
    SlowClients,
    HalfOpenWorkers,
    HalfOpenClients,
    FillDisk,
    /// SIGKILL, then a start.
    KillRedis,
    FreezeRedis,
    /// Affects the connections of all servers or of one, like the network faults below.
    CutRedis,
    IsolateRedis,
    StallRedis,
    StallFromRedis,
    SlowRedis,
    HalfOpenRedis,
    KillLedger,
    FreezeLedger,
    CutLedger,
    IsolateLedger,
    StallLedger,
    StallFromLedger,
    SlowLedger,
    HalfOpenLedger,
}

/// The process or the connections that a fault affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Server,
    Worker,
    ToClients,
    ToWorkers,
    Redis,
    Ledger,
    /// Connections from servers, like `ToLedger`.
    ToRedis,
    ToLedger,
}

impl Fault {
    /// Faults of a single server. Those that last too long for a short run come last.
    pub(super) const OF_SINGLE_SERVER: [Self; 17] = [
        Self::KillServer,
        Self::StopServer,
        Self::FreezeServer,
        Self::KillWorker,
        Self::StopWorker,
        Self::FreezeWorker,
        Self::CutWorkers,
        Self::CutClients,
        Self::IsolateWorkers,
        Self::StallUp,
        Self::StallDown,
        Self::StallClients,
        Self::SlowWorkers,
        Self::SlowClients,
        Self::HalfOpenWorkers,
        Self::HalfOpenClients,
        Self::FillDisk,
    ];

    /// Faults of a single server for a short run.
    pub(super) const SHORT_OF_SINGLE_SERVER: &[Self] = Self::OF_SINGLE_SERVER.split_at(14).0;

    /// Faults of the shared stores. Those that last too long for a short run come last.
    const OF_STORES: [Self; 16] = [
        Self::KillRedis,
        Self::FreezeRedis,
        Self::CutRedis,
        Self::IsolateRedis,
        Self::StallRedis,
        Self::StallFromRedis,
        Self::SlowRedis,
        Self::KillLedger,
        Self::FreezeLedger,
        Self::CutLedger,
        Self::IsolateLedger,
        Self::StallLedger,
        Self::StallFromLedger,
        Self::SlowLedger,
        Self::HalfOpenRedis,
        Self::HalfOpenLedger,
    ];

    /// Faults of a cluster.
    pub(super) fn of_cluster() -> Vec<Self> {
        let (of_server, _) = Self::OF_SINGLE_SERVER.split_at(16);
        [of_server, &Self::OF_STORES].concat()
    }

    /// Faults of a cluster for a short run.
    pub(super) fn short_of_cluster() -> Vec<Self> {
        [Self::SHORT_OF_SINGLE_SERVER, Self::OF_STORES.split_at(14).0].concat()
    }

    /// Returns the target. Two simultaneous faults have different targets.
    pub(super) fn target(self) -> Target {
        match self {
            Self::KillServer | Self::StopServer | Self::FreezeServer | Self::FillDisk => {
                Target::Server
            }
            Self::KillWorker | Self::StopWorker | Self::FreezeWorker => Target::Worker,
            Self::CutClients | Self::StallClients | Self::SlowClients | Self::HalfOpenClients => {
                Target::ToClients
            }
            Self::CutWorkers
            | Self::IsolateWorkers
            | Self::StallUp
            | Self::StallDown
            | Self::SlowWorkers
            | Self::HalfOpenWorkers => Target::ToWorkers,
            Self::KillRedis | Self::FreezeRedis => Target::Redis,
            Self::KillLedger | Self::FreezeLedger => Target::Ledger,
            Self::CutRedis
            | Self::IsolateRedis
            | Self::StallRedis
            | Self::StallFromRedis
            | Self::SlowRedis
            | Self::HalfOpenRedis => Target::ToRedis,
            Self::CutLedger
            | Self::IsolateLedger
            | Self::StallLedger
            | Self::StallFromLedger
            | Self::SlowLedger
            | Self::HalfOpenLedger => Target::ToLedger,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::KillServer => "kill_server",
            Self::StopServer => "stop_server",
            Self::FreezeServer => "freeze_server",
            Self::KillWorker => "kill_worker",
            Self::StopWorker => "stop_worker",
            Self::FreezeWorker => "freeze_worker",
            Self::CutWorkers => "cut_workers",
            Self::CutClients => "cut_clients",
            Self::IsolateWorkers => "isolate_workers",
            Self::StallUp => "stall_workers_up",
            Self::StallDown => "stall_workers_down",
            Self::StallClients => "stall_clients",
            Self::SlowWorkers => "slow_workers",
            Self::SlowClients => "slow_clients",
            Self::HalfOpenWorkers => "half_open_workers",
            Self::HalfOpenClients => "half_open_clients",
            Self::FillDisk => "fill_disk",
            Self::KillRedis => "kill_redis",
            Self::FreezeRedis => "freeze_redis",
            Self::CutRedis => "cut_redis",
            Self::IsolateRedis => "isolate_redis",
            Self::StallRedis => "stall_redis",
            Self::StallFromRedis => "stall_from_redis",
            Self::SlowRedis => "slow_redis",
            Self::HalfOpenRedis => "half_open_redis",
            Self::KillLedger => "kill_ledger",
            Self::FreezeLedger => "freeze_ledger",
            Self::CutLedger => "cut_ledger",
            Self::IsolateLedger => "isolate_ledger",
            Self::StallLedger => "stall_ledger",
            Self::StallFromLedger => "stall_from_ledger",
            Self::SlowLedger => "slow_ledger",
            Self::HalfOpenLedger => "half_open_ledger",
        }
    }
}
