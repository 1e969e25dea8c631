//! A call as the arguments of the commit script. `lua/groups.lua` and `lua/commit.lua` take
//! them in the same order.

use bytes::BufMut;
use foldhash::{HashMap, HashSet};
use redis::Cmd;
use sentinel_broker::codec;
use sentinel_broker::{Call, Change, Group, Guard, Position, RequestMemory, SessionRow};
use sentinel_domain::{JobId, Name, Queue, SessionId};

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

/// What scripts read of a queue, then the queue.
pub(crate) fn queue_row(queue: &Queue) -> Vec<u8> {
    let encoded = codec::encode_queue(queue);
    let mut bytes = Vec::with_capacity(9 + encoded.len());
    bytes.put_u8(codec::code::from_order(queue.order) as u8);
    bytes.put_u64(queue.priority_boost_ms);
    bytes.put_slice(&encoded);
    bytes
}

fn request_row(request: &RequestMemory) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + request.answer.len());
    bytes.put_i64(request.until);
    bytes.put_u64(request.content_hash);
    bytes.put_slice(&request.answer);
    bytes
}

/// 'queue\0kind'.
fn class(queue: &Name, kind: &Name) -> String {
    [&**queue, &**kind].join("\0")
}

/// Every job that guards and changes of a call name, once.
fn ids_of(call: &Call) -> Vec<JobId> {
    let mut seen: HashSet<JobId> = HashSet::default();
    let mut ids = Vec::new();
    let mut note = |id: JobId| {
        if seen.insert(id) {
            ids.push(id);
        }
    };
    for group in &call.groups {
        for guard in &group.guards {
            if let Guard::JobVersion { id, .. } | Guard::JobAbsent { id } = guard {
                note(*id);
            }
        }
        for change in &group.changes {
            match change {
                Change::Create { job, .. } | Change::Update { job, .. } => note(job.id),
                Change::Progress { id, .. } => note(*id),
                Change::PutQueue(_) | Change::PutSession(_) | Change::DropSession(_) => {}
            }
        }
    }
    ids
}

/// Writes all arguments of a call.
pub(crate) fn write(command: &mut Cmd, call: &Call, seen: Position) {
    command.arg(&call.writer.0.to_be_bytes()).arg(call.number).arg(call.now);
    command.arg(seen.epoch).arg(seen.seq).arg(call.promote);
    let ids = ids_of(call);
    command.arg(ids.len());
    for id in &ids {
        command.arg(&id_bytes(*id));
    }
    command.arg(call.groups.len());
    for group in &call.groups {
        command.arg(group_len(group));
        write_group(command, group);
    }
    write_claims(command, call);
}

fn guard_len(guard: &Guard) -> usize {
    match guard {
        Guard::JobAbsent { .. } | Guard::KeyFree { .. } | Guard::QueueAbsent { .. } => 2,
        Guard::JobVersion { .. } | Guard::KeyHeldBy { .. } | Guard::SessionOwner { .. } => 3,
    }
}

fn change_len(change: &Change) -> usize {
    match change {
        // A job that waits asks for a place for its kind before.
        Change::Create { job, .. } => 4 + if job.status.state.is_waiting() { 2 } else { 0 },
        Change::Update { .. } => 5,
        Change::Progress { .. } => 4,
        Change::PutQueue(_) | Change::PutSession(_) => 3,
        Change::DropSession(_) => 2,
    }
}

/// How many arguments [`write_group`] writes.
fn group_len(group: &Group) -> usize {
    let request = if group.request.is_some() { 6 } else { 0 };
    let guards: usize = group.guards.iter().map(guard_len).sum();
    request + guards + group.changes.iter().map(change_len).sum::<usize>()
}

fn write_group(command: &mut Cmd, group: &Group) {
    if let Some(request) = &group.request {
        command.arg("R").arg(&*request.id).arg(&request.content_hash.to_be_bytes());
    }
    for guard in &group.guards {
        write_guard(command, guard);
    }
    for change in &group.changes {
        if let Change::Create { job, .. } = change
            && job.status.state.is_waiting()
        {
            command.arg("K").arg(class(&job.spec.queue, &job.spec.kind));
        }
    }
    for change in &group.changes {
        write_change(command, change, group);
    }
    if let Some(request) = &group.request {
        command.arg("m").arg(&*request.id).arg(request_row(request));
    }
}

fn write_guard(command: &mut Cmd, guard: &Guard) {
    match guard {
        Guard::JobVersion { id, version } => {
            command.arg("V").arg(&id_bytes(*id)).arg(&version.to_be_bytes())
        }
        Guard::JobAbsent { id } => command.arg("A").arg(&id_bytes(*id)),
        Guard::KeyFree { key } => command.arg("F").arg(key.as_bytes()),
        Guard::KeyHeldBy { key, id } => command.arg("H").arg(key.as_bytes()).arg(&id_bytes(*id)),
        Guard::SessionOwner { session, owner } => {
            command.arg("O").arg(&session_bytes(*session)).arg(&owner.0.to_be_bytes())
        }
        Guard::QueueAbsent { name } => command.arg("Q").arg(&**name),
    };
}

/// Something in the group says that the job is there.
fn is_guarded(group: &Group, job: JobId) -> bool {
    group.guards.iter().any(|guard| matches!(guard, Guard::JobVersion { id, .. } if *id == job))
}

fn write_change(command: &mut Cmd, change: &Change, group: &Group) {
    match change {
        Change::Create { job, spec } => {
            command.arg("C").arg(&id_bytes(job.id)).arg(record::encode(job)).arg(&spec[..])
        }
        Change::Update { job, end } => {
            let end = end.as_ref().map(|end| prost::Message::encode_to_vec(&codec::from_end(end)));
            command.arg("U").arg(&id_bytes(job.id)).arg(record::encode(job));
            command.arg(end.unwrap_or_default());
            if is_guarded(group, job.id) {
                command.arg("")
            } else {
                command.arg(&codec::encode_spec(&job.spec)[..])
            }
        }
        Change::Progress { id, epoch, progress } => command
            .arg("P")
            .arg(&id_bytes(*id))
            .arg(&epoch.to_be_bytes())
            .arg(record::encode_progress(progress)),
        Change::PutQueue(queue) => command.arg("q").arg(&*queue.name).arg(queue_row(queue)),
        Change::PutSession(row) => {
            command.arg("s").arg(&session_bytes(row.id)).arg(&session_row(row))
        }
        Change::DropSession(id) => command.arg("d").arg(&session_bytes(*id)),
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

fn write_claims(command: &mut Cmd, call: &Call) {
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
        command.arg(claim.max_jobs).arg(claim.max_bytes).arg(queues).arg(kinds);
    }
}
