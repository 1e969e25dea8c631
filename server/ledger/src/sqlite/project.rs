//! From journal entries to rows: one transaction a batch, fenced by the checkpoint.

use std::sync::Arc;

use bytes::Bytes;
use diesel::prelude::*;
use diesel::upsert::excluded;
use sentinel_broker::codec::{self, Names, code};
use sentinel_broker::{Entry, JobEvent, Position};
use sentinel_domain::{AttemptEnd, Job, JobId, Label, Millis, Spec, Status, held_key};

use super::fault::Fault;
use super::schema::{attempts, checkpoints, keys, queues, specs};
use super::statement::{PutJob, PutLabel, SetStatus};
use super::{key, read};

/// A spec up to this size lives in the row of its job. A larger one would be copied by
/// every change of state, and would push the rows that lists read apart.
const INLINE_SPEC_BYTES: usize = 1024;

/// Writes the entries that follow `from` and moves the checkpoint.
pub(crate) fn project(
    connection: &mut SqliteConnection,
    from: Position,
    entries: &[Arc<Entry>],
) -> Result<Position, Fault> {
    check_order(from, entries)?;
    let Some(last) = entries.last() else { return Ok(from) };
    move_checkpoint(connection, from, last)?;
    drop_expired_keys(connection, last.at)?;
    let mut names = Names::default();
    for batch in by_job(entries).chunk_by(|(_, a), (_, b)| a.id == b.id) {
        write_job(connection, batch, &mut names)?;
    }
    for queue in entries.iter().flat_map(|entry| &entry.queues) {
        let declaration = codec::encode_queue(queue);
        diesel::insert_into(queues::table)
            .values((queues::name.eq(&*queue.name), queues::declaration.eq(&declaration)))
            .on_conflict(queues::name)
            .do_update()
            .set(queues::declaration.eq(excluded(queues::declaration)))
            .execute(connection)?;
    }
    Ok(last.position)
}

/// Dense within an epoch. From the very start any place will do, since the journal may
/// have been trimmed or belong to a store that was rebuilt.
fn check_order(from: Position, entries: &[Arc<Entry>]) -> Result<(), Fault> {
    let mut after = from;
    for found in entries.iter().map(|entry| entry.position) {
        let follows = if found.epoch == after.epoch {
            found.seq == after.seq + 1
        } else {
            found.epoch > after.epoch
        };
        if !follows && after != Position::default() {
            return Err(Fault::Gap { after, found });
        }
        after = found;
    }
    Ok(())
}

/// The fence: of two projectors that start from one checkpoint, one finds it moved.
fn move_checkpoint(
    connection: &mut SqliteConnection,
    from: Position,
    last: &Entry,
) -> Result<(), Fault> {
    let at = checkpoints::table
        .filter(checkpoints::shard.eq(0))
        .filter(checkpoints::epoch.eq(from.epoch.cast_signed()))
        .filter(checkpoints::seq.eq(from.seq.cast_signed()));
    let moved = diesel::update(at)
        .set((
            checkpoints::epoch.eq(last.position.epoch.cast_signed()),
            checkpoints::seq.eq(last.position.seq.cast_signed()),
            checkpoints::at_ms.eq(last.at),
        ))
        .execute(connection)?;
    if moved == 1 {
        return Ok(());
    }
    let found = read::checkpoint(connection)?;
    Err(Fault::Superseded { expected: from, found })
}

/// All events, a job's together and in order. By id, so that rows next to each other are
/// written one after another.
fn by_job(entries: &[Arc<Entry>]) -> Vec<(Position, &JobEvent)> {
    let mut events: Vec<_> = entries
        .iter()
        .flat_map(|entry| entry.jobs.iter().map(|event| (entry.position, event)))
        .collect();
    events.sort_by_key(|(_, event)| event.id);
    events
}

/// What a batch says about one job; only the last of its states is written.
fn write_job(
    connection: &mut SqliteConnection,
    events: &[(Position, &JobEvent)],
    names: &mut Names,
) -> Result<(), Fault> {
    let &(position, last) = events.last().expect("chunks are not empty");
    let state = code::from_state(last.status.state).cast_signed();
    let status = codec::encode_status(&last.status);
    let id = key(last.id);
    let new = events.iter().find_map(|(_, event)| Some((event.new.as_ref()?, &event.spec)));
    if let Some((bytes, spec)) = new {
        let decoded;
        let spec = match spec {
            Some(spec) => spec,
            None => {
                decoded = Arc::new(codec::decode_spec(bytes.clone(), names)?);
                &decoded
            }
        };
        insert_job(connection, &id, spec, bytes, (state, &status))?;
        hold_key(connection, last.id, spec, &last.status)?;
    } else {
        let known = SetStatus { id: &id, state, status: &status }.execute(connection)?;
        if known == 0 {
            return Err(Fault::MissingJob { id: last.id, position });
        }
    }
    for end in events.iter().filter_map(|(_, event)| event.end.as_ref()) {
        insert_attempt(connection, last.id, end)?;
    }
    Ok(())
}

fn insert_job(
    connection: &mut SqliteConnection,
    id: &[u8; 16],
    spec: &Spec,
    bytes: &Bytes,
    (state, status): (i32, &[u8]),
) -> Result<(), Fault> {
    let inline = (bytes.len() <= INLINE_SPEC_BYTES).then_some(&bytes[..]);
    // A store that was rebuilt tells of its jobs anew.
    let (queue, kind) = (&*spec.queue, &*spec.kind);
    PutJob { id, queue, kind, state, status, spec: inline }.execute(connection)?;
    if inline.is_none() {
        diesel::insert_into(specs::table)
            .values((specs::id.eq(&id[..]), specs::spec.eq(&bytes[..])))
            .on_conflict_do_nothing()
            .execute(connection)?;
    }
    for Label { key, value } in &spec.labels {
        PutLabel { key, value, job: id }.execute(connection)?;
    }
    Ok(())
}

/// A key with a time of its own may outlive its job in the hot store. One whose holder was
/// replaced is taken over by the job that came in its place, whose id is higher.
fn hold_key(
    connection: &mut SqliteConnection,
    id: JobId,
    spec: &Arc<Spec>,
    status: &Status,
) -> Result<(), Fault> {
    if spec.unique.is_none() {
        return Ok(());
    }
    let job = Job { id, spec: spec.clone(), status: status.clone() };
    let Some((unique, Some(until))) = held_key(&job) else { return Ok(()) };
    diesel::insert_into(keys::table)
        .values((
            keys::key.eq(unique.as_bytes()),
            keys::job.eq(&key(id)[..]),
            keys::until_ms.eq(until),
        ))
        .on_conflict(keys::key)
        .do_update()
        .set((keys::job.eq(excluded(keys::job)), keys::until_ms.eq(excluded(keys::until_ms))))
        .execute(connection)?;
    Ok(())
}

fn drop_expired_keys(connection: &mut SqliteConnection, now: Millis) -> Result<(), Fault> {
    diesel::delete(keys::table.filter(keys::until_ms.le(now))).execute(connection)?;
    Ok(())
}

fn insert_attempt(
    connection: &mut SqliteConnection,
    id: JobId,
    end: &AttemptEnd,
) -> Result<(), Fault> {
    let error = end.error.as_deref();
    diesel::insert_into(attempts::table)
        .values((
            attempts::job.eq(&key(id)[..]),
            attempts::epoch.eq(end.epoch.cast_signed()),
            attempts::run.eq(i64::from(end.run)),
            attempts::attempt.eq(i64::from(end.attempt)),
            attempts::outcome.eq(code::from_outcome(end.outcome).cast_signed()),
            attempts::started_at_ms.eq(end.started_at),
            attempts::ended_at_ms.eq(end.ended_at),
            attempts::worker.eq(end.worker.as_deref()),
            attempts::error_message.eq(error.map(|e| &*e.message)),
            attempts::error_code.eq(error.map(|e| &*e.code)),
            attempts::error_retryable.eq(error.map(|e| e.retryable)),
        ))
        .on_conflict_do_nothing()
        .execute(connection)?;
    Ok(())
}
