//! A call as the arguments of the commit script. `lua/groups.lua` and `lua/commit.lua` take
//! them in the same order.

use bytes::BufMut;
use foldhash::HashMap;
use redis::Cmd;
use sentinel_domain::{JobId, Name, Queue, QueueMode, SessionId};
use sentinel_store::codec;
use sentinel_store::{
    CommitRequest, IdempotencyRecord, Mutation, Position, Precondition, SessionRow, Transaction,
};

use crate::record::{self, id_bytes};

/// A session id as a field.
pub(crate) fn session_bytes(id: SessionId) -> [u8; 16] {
    id.as_u128().to_be_bytes()
}

fn session_row(row: &SessionRow) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&row.owner.0.to_be_bytes());
    bytes[8..].copy_from_slice(&row.expires_at.to_be_bytes());
    bytes
}

/// Added to the order of a queue whose jobs may not start.
const PAUSED: u8 = 16;

/// What scripts read of a queue, then the queue.
pub(crate) fn queue_row(queue: &Queue) -> Vec<u8> {
    let encoded = codec::encode_queue(queue);
    let mut bytes = Vec::with_capacity(9 + encoded.len());
    let paused = if queue.mode == QueueMode::Paused { PAUSED } else { 0 };
    bytes.put_u8(codec::code::from_queue_order(queue.order) as u8 + paused);
    bytes.put_u64(queue.priority_boost_ms);
    bytes.put_slice(&encoded);
    bytes
}

fn request_row(request: &IdempotencyRecord) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + request.response.len());
    bytes.put_i64(request.expires_at);
    bytes.put_u64(request.content_hash);
    bytes.put_slice(&request.response);
    bytes
}

/// Every job that guards and changes of a call name, with its place from 1.
#[derive(Default)]
struct Ids {
    places: HashMap<JobId, u32>,
    bytes: Vec<u8>,
}

impl Ids {
    /// Three bytes hold it: a call has fewer jobs by far.
    fn place(&mut self, id: JobId) -> [u8; 3] {
        let next = self.places.len() as u32 + 1;
        let bytes = &mut self.bytes;
        let place = *self.places.entry(id).or_insert_with(|| {
            bytes.put_slice(&id_bytes(id));
            next
        });
        let [_, a, b, c] = place.to_be_bytes();
        [a, b, c]
    }
}

/// What the groups do, as one string; the bytes that they need follow apart.
#[derive(Default)]
struct Program {
    ids: Ids,
    text: Vec<u8>,
    /// Arguments of all groups so far.
    arguments: usize,
}

impl Program {
    fn op(&mut self, letter: u8, id: JobId, arguments: usize) {
        let place = self.ids.place(id);
        self.text.put_u8(letter);
        self.text.put_slice(&place);
        self.arguments += arguments;
    }

    fn plain(&mut self, letter: u8, arguments: usize) {
        self.text.put_u8(letter);
        self.arguments += arguments;
    }

    fn group(&mut self, group: &Transaction) {
        let (begin, before) = (self.text.len(), self.arguments);
        self.text.put_u64(0);
        if group.idempotency.is_some() {
            self.plain(b'R', 2);
        }
        for guard in &group.preconditions {
            self.guard(guard);
        }
        self.classes(group);
        for change in &group.mutations {
            self.change(change, group);
        }
        if group.idempotency.is_some() {
            self.plain(b'm', 2);
        }
        let length = (self.text.len() - begin - 8) as u32;
        let arguments = (self.arguments - before) as u32;
        self.text[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
        self.text[begin + 4..begin + 8].copy_from_slice(&arguments.to_be_bytes());
    }

    fn guard(&mut self, guard: &Precondition) {
        match guard {
            Precondition::JobVersion { id, version } => {
                self.op(b'V', *id, 0);
                self.text.put_u64(*version);
            }
            Precondition::JobAbsent { id } => self.op(b'A', *id, 0),
            Precondition::KeyFree { .. } => self.plain(b'F', 1),
            Precondition::KeyHeldBy { id, .. } => self.op(b'H', *id, 1),
            Precondition::SessionOwner { .. } | Precondition::SessionRow(_) => self.plain(b'O', 2),
            Precondition::QueueAbsent { .. } | Precondition::QueueIs(_) => self.plain(b'Q', 2),
            Precondition::IdempotencyRecord { .. } => self.plain(b'M', 2),
        }
    }

    /// New jobs that wait ask for places for their kinds: where their records are among the
    /// arguments of the changes.
    fn classes(&mut self, group: &Transaction) {
        let mut at = 0_u32;
        for change in &group.mutations {
            if let Mutation::Create { job, .. } = change
                && job.status.state.is_waiting()
            {
                self.text.put_u8(b'K');
                self.text.put_slice(&at.to_be_bytes()[1..]);
            }
            at += arguments_of(change, group) as u32;
        }
    }

    fn change(&mut self, change: &Mutation, group: &Transaction) {
        let arguments = arguments_of(change, group);
        match change {
            Mutation::Create { job, .. } | Mutation::ReplaceSpec { job, .. } => {
                self.op(b'C', job.id, arguments);
            }
            Mutation::Update { job, .. } if arguments == 3 => self.op(b'W', job.id, arguments),
            Mutation::Update { job, attempt_end: Some(_) } => self.op(b'E', job.id, arguments),
            Mutation::Update { job, attempt_end: None } => self.op(b'U', job.id, arguments),
            Mutation::Progress { id, .. } => self.op(b'P', *id, arguments),
            Mutation::PutQueue(_) => self.plain(b'q', arguments),
            Mutation::PutSession(_) => self.plain(b's', arguments),
            Mutation::DropSession(_) => self.plain(b'd', arguments),
            Mutation::PutWorkerInfo { .. } => self.plain(b'c', arguments),
            Mutation::DrainSession(_) => self.plain(b'x', arguments),
            Mutation::PutIdempotencyRecord(_) => self.plain(b'm', arguments),
        }
    }
}

/// How many arguments a change has.
fn arguments_of(change: &Mutation, group: &Transaction) -> usize {
    match change {
        // Where nothing says that the job is there, its spec goes along.
        Mutation::Update { job, .. } if !is_guarded(group, job.id) => 3,
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

/// A bound as Redis takes it: its numbers are signed, and a script may double one.
pub(crate) fn bound(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

/// The arguments before those of the groups.
const FIRST: usize = 9;

/// Writes all arguments of a call.
pub(crate) fn write(command: &mut Cmd, call: &CommitRequest, seen: Position) {
    let mut program = Program::default();
    program.text.put_u32(call.transactions.len() as u32);
    for group in &call.transactions {
        program.group(group);
    }
    command.arg(&call.writer.0.to_be_bytes()).arg(call.number).arg(call.now);
    command.arg(seen.epoch).arg(seen.seq).arg(bound(call.promote_limit));
    command.arg(&program.ids.bytes).arg(&program.text);
    command.arg(FIRST + program.arguments + 1);
    for group in &call.transactions {
        write_group(command, group);
    }
    write_claims(command, call);
}

fn write_group(command: &mut Cmd, group: &Transaction) {
    if let Some(request) = &group.idempotency {
        command.arg(&*request.id).arg(&request.content_hash.to_be_bytes());
    }
    for guard in &group.preconditions {
        write_guard(command, guard);
    }
    for change in &group.mutations {
        write_change(command, change, group);
    }
    if let Some(request) = &group.idempotency {
        command.arg(&*request.id).arg(request_row(request));
    }
}

fn write_guard(command: &mut Cmd, guard: &Precondition) {
    match guard {
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
        Precondition::IdempotencyRecord { id, response: answer } => {
            let known = answer.as_ref().map(|answer| [&[1], &answer[..]].concat());
            command.arg(&**id).arg(known.unwrap_or_default());
        }
    }
}

/// Something in the group says that the job is there.
fn is_guarded(group: &Transaction, job: JobId) -> bool {
    group
        .preconditions
        .iter()
        .any(|guard| matches!(guard, Precondition::JobVersion { id, .. } if *id == job))
}

fn write_change(command: &mut Cmd, change: &Mutation, group: &Transaction) {
    match change {
        Mutation::Create { job, spec } | Mutation::ReplaceSpec { job, spec } => {
            command.arg(record::encode(job)).arg(&spec[..])
        }
        Mutation::Update { job, attempt_end } => {
            let end = attempt_end.as_ref().map(|end| prost::Message::encode_to_vec(&codec::from_attempt_end(end)));
            command.arg(record::encode(job));
            if !is_guarded(group, job.id) {
                command.arg(end.unwrap_or_default()).arg(&codec::encode_spec(&job.spec)[..]);
            } else if let Some(end) = end {
                command.arg(end);
            }
            command
        }
        Mutation::Progress { epoch, progress, .. } => {
            command.arg(&epoch.to_be_bytes()).arg(record::encode_progress(progress))
        }
        Mutation::PutQueue(queue) => command.arg(&*queue.name).arg(queue_row(queue)),
        Mutation::PutSession(row) => command.arg(&session_bytes(row.id)).arg(&session_row(row)),
        Mutation::DropSession(id) | Mutation::DrainSession(id) => command.arg(&session_bytes(*id)),
        Mutation::PutWorkerInfo { session, worker_info: announcement } => {
            command.arg(&session_bytes(*session)).arg(&announcement[..])
        }
        Mutation::PutIdempotencyRecord(memory) => command.arg(&*memory.id).arg(request_row(memory)),
    };
}

/// Lists of names once each, since most sessions of a fleet ask for the same.
#[derive(Default)]
struct Lists<'a> {
    known: HashMap<&'a [Name], usize>,
    all: Vec<&'a [Name]>,
}

impl<'a> Lists<'a> {
    /// The place of a list, from 1.
    fn place(&mut self, names: &'a [Name]) -> usize {
        *self.known.entry(names).or_insert_with(|| {
            self.all.push(names);
            self.all.len()
        })
    }
}

fn write_claims(command: &mut Cmd, call: &CommitRequest) {
    let mut lists = Lists::default();
    let places: Vec<_> =
        call.claims.iter().map(|c| (lists.place(&c.queues), lists.place(&c.kinds))).collect();
    command.arg(lists.all.len());
    for names in &lists.all {
        command.arg(names.len());
        for name in *names {
            command.arg(&**name);
        }
    }
    command.arg(call.claims.len());
    for (claim, (queues, kinds)) in call.claims.iter().zip(places) {
        command.arg(&session_bytes(claim.session)).arg(&*claim.worker);
        command.arg(bound(claim.max_jobs)).arg(claim.max_bytes).arg(queues).arg(kinds);
    }
}
