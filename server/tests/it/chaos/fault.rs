//! What can be done to an installation, and how it is undone.

mod network;
mod strike;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// kill -9, and a start later.
    KillServer,
    /// SIGTERM, and a start later.
    StopServer,
    /// SIGSTOP, and SIGCONT later.
    FreezeServer,
    /// kill -9; another one comes.
    KillWorker,
    /// SIGTERM; another one comes.
    StopWorker,
    FreezeWorker,
    CutWorkers,
    CutClients,
    /// Cut, and nobody gets through for a time.
    IsolateWorkers,
    StallUp,
    StallDown,
    StallClients,
    SlowWorkers,
    SlowClients,
    HalfOpenWorkers,
    HalfOpenClients,
    FillDisk,
    /// kill -9, and a start later.
    KillRedis,
    FreezeRedis,
    /// From all servers or from one, as in all that follow.
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

/// What a fault is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Server,
    Worker,
    ToClients,
    ToWorkers,
    Redis,
    Ledger,
    /// From servers.
    ToRedis,
    ToLedger,
}

impl Fault {
    /// Of one server. Those that a short round can not wait for come last.
    pub(super) const OF_ONE: [Self; 17] = [
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

    /// Those of one server that a short round can wait for.
    pub(super) const SHORT_OF_ONE: &[Self] = Self::OF_ONE.split_at(14).0;

    /// Of what several servers share.
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

    /// Of several servers.
    pub(super) fn of_many() -> Vec<Self> {
        let (of_each, _) = Self::OF_ONE.split_at(16);
        [of_each, &Self::OF_STORES].concat()
    }

    /// Those of several servers that a short round can wait for.
    pub(super) fn short_of_many() -> Vec<Self> {
        [Self::SHORT_OF_ONE, Self::OF_STORES.split_at(14).0].concat()
    }

    /// What it is done to. Two at once are done to different things.
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
