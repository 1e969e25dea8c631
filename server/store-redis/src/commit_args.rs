//! Encodes a call as the arguments of the commit script. `lua/transactions.lua` and
//! `lua/commit.lua` read them in the same order.

use bytes::BufMut;
use foldhash::HashMap;
use redis::Cmd;
use sentinel_domain::{JobId, Name, Queue, QueueMode, SessionId};
use sentinel_store::codec;
use sentinel_store::{
    CommitRequest, IdempotencyRecord, Mutation, Position, Precondition, SessionRow, Transaction,
};

use crate::job_record::{self, id_bytes};

/// Encodes a session id as a hash field.
pub(crate) fn session_bytes(id: SessionId) -> [u8; 16] {
    id.as_u128().to_be_bytes()
}

fn session_row(row: &SessionRow) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&row.owner.0.to_be_bytes());
    bytes[8..].copy_from_slice(&row.expires_at.to_be_bytes());
    bytes
}

/// Added to the order of a paused queue.
const PAUSED: u8 = 16;

/// Encodes a queue: the fields that scripts read, then the declaration.
pub(crate) fn queue_row(queue: &Queue) -> Vec<u8> {
    let encoded = codec::encode_queue(queue);
    let mut bytes = Vec::with_capacity(9 + encoded.len());
    let paused = if queue.mode == QueueMode::Paused { PAUSED } else { 0 };
    bytes.put_u8(codec::code::from_queue_order(queue.order) as u8 + paused);
    bytes.put_u64(queue.priority_boost_ms);
    bytes.put_slice(&encoded);
    bytes
}

fn record_row(record: &IdempotencyRecord) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + record.response.len());
    bytes.put_i64(record.expires_at);
    bytes.put_u64(record.content_hash);
    bytes.put_slice(&record.response);
    bytes
}

/// The jobs that preconditions and mutations of a call refer to, with their index from 1.
#[derive(Default)]
struct JobIndexes {
    indexes: HashMap<JobId, u32>,
    bytes: Vec<u8>,
}

impl JobIndexes {
    /// Returns the index of a job. Three bytes are enough: a call has far fewer jobs.
    fn index_of(&mut self, id: JobId) -> [u8; 3] {
        let next = self.indexes.len() as u32 + 1;
        let bytes = &mut self.bytes;
        let index = *self.indexes.entry(id).or_insert_with(|| {
            bytes.put_slice(&id_bytes(id));
            next
        });
        let [_, a, b, c] = index.to_be_bytes();
        [a, b, c]
    }
}

/// The program of all transactions, as one string. Bytes to store or compare are separate
/// arguments.
#[derive(Default)]
struct Program {
    ids: JobIndexes,
    text: Vec<u8>,
    /// The number of arguments so far.
    arguments: usize,
}

impl Program {
    fn job_op(&mut self, letter: u8, id: JobId, arguments: usize) {
        let index = self.ids.index_of(id);
        self.text.put_u8(letter);
        self.text.put_slice(&index);
        self.arguments += arguments;
    }

    fn row_op(&mut self, letter: u8, arguments: usize) {
        self.text.put_u8(letter);
        self.arguments += arguments;
    }

    fn transaction(&mut self, transaction: &Transaction) {
        let (begin, before) = (self.text.len(), self.arguments);
        self.text.put_u64(0);
        if transaction.idempotency.is_some() {
            self.row_op(b'R', 2);
        }
        for precondition in &transaction.preconditions {
            self.precondition(precondition);
        }
        self.classes(transaction);
        for mutation in &transaction.mutations {
            self.mutation(mutation, transaction);
        }
        if transaction.idempotency.is_some() {
            self.row_op(b'm', 2);
        }
        let length = (self.text.len() - begin - 8) as u32;
        let arguments = (self.arguments - before) as u32;
        self.text[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
        self.text[begin + 4..begin + 8].copy_from_slice(&arguments.to_be_bytes());
    }

    fn precondition(&mut self, precondition: &Precondition) {
        match precondition {
            Precondition::JobVersion { id, version } => {
                self.job_op(b'V', *id, 0);
                self.text.put_u64(*version);
            }
            Precondition::JobAbsent { id } => self.job_op(b'A', *id, 0),
            Precondition::KeyFree { .. } => self.row_op(b'F', 1),
            Precondition::KeyHeldBy { id, .. } => self.job_op(b'H', *id, 1),
            Precondition::SessionOwner { .. } | Precondition::SessionRow(_) => self.row_op(b'O', 2),
            Precondition::QueueAbsent { .. } | Precondition::QueueIs(_) => self.row_op(b'Q', 2),
            Precondition::IdempotencyRecord { .. } => self.row_op(b'M', 2),
        }
    }

    /// Writes the check of the kind limit for each new waiting job: the index of its record among
    /// the arguments of the mutations.
    fn classes(&mut self, transaction: &Transaction) {
        let mut at = 0_u32;
        for mutation in &transaction.mutations {
            if let Mutation::Create { job, .. } = mutation
                && job.status.state.is_waiting()
            {
                self.text.put_u8(b'K');
                self.text.put_slice(&at.to_be_bytes()[1..]);
            }
            at += arguments_of(mutation, transaction) as u32;
        }
    }

    fn mutation(&mut self, mutation: &Mutation, transaction: &Transaction) {
        let arguments = arguments_of(mutation, transaction);
        match mutation {
            Mutation::Create { job, .. } | Mutation::ReplaceSpec { job, .. } => {
                self.job_op(b'C', job.id, arguments);
            }
            Mutation::Update { job, .. } if arguments == 3 => self.job_op(b'W', job.id, arguments),
            Mutation::Update { job, attempt_end: Some(_) } => self.job_op(b'E', job.id, arguments),
            Mutation::Update { job, attempt_end: None } => self.job_op(b'U', job.id, arguments),
            Mutation::Progress { id, .. } => self.job_op(b'P', *id, arguments),
            Mutation::PutQueue(_) => self.row_op(b'q', arguments),
            Mutation::PutSession(_) => self.row_op(b's', arguments),
            Mutation::DropSession(_) => self.row_op(b'd', arguments),
            Mutation::PutWorkerInfo { .. } => self.row_op(b'c', arguments),
            Mutation::DrainSession(_) => self.row_op(b'x', arguments),
            Mutation::PutIdempotencyRecord(_) => self.row_op(b'm', arguments),
        }
    }
}

/// Returns the number of arguments of a mutation.
fn arguments_of(mutation: &Mutation, transaction: &Transaction) -> usize {
    match mutation {
        // If no precondition ensures that the job exists, its spec is an argument, too.
        Mutation::Update { job, .. } if !has_version_check(transaction, job.id) => 3,
        Mutation::Update { attempt_end: None, .. }
        | Mutation::DropSession(_)
        | Mutation::DrainSession(_) => 1,
        Mutation::Update { attempt_end: Some(_), .. }
        | Mutation::Create { .. }
        | Mutation::ReplaceSpec { .. }
        | Mutation::Progress { .. }
        | Mutation::PutQueue(_)
        | Mutation::PutSession(_)
        | Mutation::PutWorkerInfo { .. }
        | Mutation::PutIdempotencyRecord(_) => 2,
    }
}

/// Converts a limit for Redis, whose numbers are signed. Scripts may double it.
pub(crate) fn redis_limit(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

/// The number of arguments before those of the transactions.
const FIXED_ARGUMENTS: usize = 9;

/// Writes the arguments of a call.
pub(crate) fn write(command: &mut Cmd, call: &CommitRequest, observed: Position) {
    let mut program = Program::default();
    program.text.put_u32(call.transactions.len() as u32);
    for transaction in &call.transactions {
        program.transaction(transaction);
    }
    command.arg(&call.writer.0.to_be_bytes()).arg(call.number).arg(call.now);
    command.arg(observed.epoch).arg(observed.seq).arg(redis_limit(call.promote_limit));
    command.arg(&program.ids.bytes).arg(&program.text);
    command.arg(FIXED_ARGUMENTS + program.arguments + 1);
    for transaction in &call.transactions {
        write_transaction(command, transaction);
    }
    write_claims(command, call);
}

fn write_transaction(command: &mut Cmd, transaction: &Transaction) {
    if let Some(record) = &transaction.idempotency {
        command.arg(&*record.id).arg(&record.content_hash.to_be_bytes());
    }
    for precondition in &transaction.preconditions {
        write_precondition(command, precondition);
    }
    for mutation in &transaction.mutations {
        write_mutation(command, mutation, transaction);
    }
    if let Some(record) = &transaction.idempotency {
        command.arg(&*record.id).arg(record_row(record));
    }
}

fn write_precondition(command: &mut Cmd, precondition: &Precondition) {
    match precondition {
        Precondition::JobVersion { .. } | Precondition::JobAbsent { .. } => {}
        Precondition::KeyFree { key } | Precondition::KeyHeldBy { key, .. } => {
            command.arg(key.as_bytes());
        }
        Precondition::SessionOwner { session, owner } => {
            command.arg(&session_bytes(*session)).arg(&owner.0.to_be_bytes());
        }
        Precondition::SessionRow(row) => {
            command.arg(&session_bytes(row.id)).arg(&session_row(row));
        }
        Precondition::QueueAbsent { name } => {
            command.arg(&**name).arg("");
        }
        Precondition::QueueIs(queue) => {
            command.arg(&*queue.name).arg(queue_row(queue));
        }
        Precondition::IdempotencyRecord { id, response } => {
            let expected = response.as_ref().map(|response| [&[1], &response[..]].concat());
            command.arg(&**id).arg(expected.unwrap_or_default());
        }
    }
}

/// Returns whether a precondition ensures that the job exists.
fn has_version_check(transaction: &Transaction, job: JobId) -> bool {
    transaction.preconditions.iter().any(|precondition| match precondition {
        Precondition::JobVersion { id, .. } => *id == job,
        _ => false,
    })
}

fn write_mutation(command: &mut Cmd, mutation: &Mutation, transaction: &Transaction) {
    match mutation {
        Mutation::Create { job, spec } | Mutation::ReplaceSpec { job, spec } => {
            command.arg(job_record::encode(job)).arg(&spec[..])
        }
        Mutation::Update { job, attempt_end } => {
            let end = attempt_end
                .as_ref()
                .map(|end| prost::Message::encode_to_vec(&codec::from_attempt_end(end)));
            command.arg(job_record::encode(job));
            if !has_version_check(transaction, job.id) {
                command.arg(end.unwrap_or_default()).arg(&codec::encode_spec(&job.spec)[..]);
            } else if let Some(end) = end {
                command.arg(end);
            }
            command
        }
        Mutation::Progress { epoch, progress, .. } => {
            command.arg(&epoch.to_be_bytes()).arg(job_record::encode_progress(progress))
        }
        Mutation::PutQueue(queue) => command.arg(&*queue.name).arg(queue_row(queue)),
        Mutation::PutSession(row) => command.arg(&session_bytes(row.id)).arg(&session_row(row)),
        Mutation::DropSession(id) | Mutation::DrainSession(id) => command.arg(&session_bytes(*id)),
        Mutation::PutWorkerInfo { session, worker_info } => {
            command.arg(&session_bytes(*session)).arg(&worker_info[..])
        }
        Mutation::PutIdempotencyRecord(record) => command.arg(&*record.id).arg(record_row(record)),
    };
}

/// Distinct lists of names, because most sessions claim with the same lists.
#[derive(Default)]
struct NameLists<'a> {
    known: HashMap<&'a [Name], usize>,
    all: Vec<&'a [Name]>,
}

impl<'a> NameLists<'a> {
    /// Returns the index of a list, from 1.
    fn index_of(&mut self, names: &'a [Name]) -> usize {
        *self.known.entry(names).or_insert_with(|| {
            self.all.push(names);
            self.all.len()
        })
    }
}

fn write_claims(command: &mut Cmd, call: &CommitRequest) {
    let mut lists = NameLists::default();
    let indexes: Vec<_> =
        call.claims.iter().map(|c| (lists.index_of(&c.queues), lists.index_of(&c.kinds))).collect();
    command.arg(lists.all.len());
    for names in &lists.all {
        command.arg(names.len());
        for name in *names {
            command.arg(&**name);
        }
    }
    command.arg(call.claims.len());
    for (claim, (queues, kinds)) in call.claims.iter().zip(indexes) {
        command.arg(&session_bytes(claim.session)).arg(&*claim.worker);
        command.arg(redis_limit(claim.max_jobs)).arg(claim.max_bytes).arg(queues).arg(kinds);
    }
}
