//! Mutation tests of the scripts: the conformance suite must fail for each mutant. Each run tests a
//! few of them, selected by a seed; the soak test runs all.

#[path = "../../tests/it/audit.rs"]
mod audit;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sentinel_store::conformance::{Harness, run_property_test, run_suite, seed_from_env};

use sentinel_faults::RedisServer;

use super::Scripts;
use crate::{OpenOptions, RedisStore};

/// A text of the scripts and its replacement.
type Mutant = (&'static str, &'static str);

/// Each text occurs once in all scripts together.
const MUTANTS: &[Mutant] = &[
    // Repeated calls and call numbers.
    ("if known == number then", "if false then"),
    ("elseif known > number then", "elseif false then"),
    ("call('HSET', KEY.WRITERS, writer, pack('>I8', number) .. reply)", ""),
    ("seq = meta[1], tonumber(meta[2]) + 1", "seq = meta[1], tonumber(meta[2]) + 2"),
    // Preconditions.
    ("or (parse('>I8', found, AT_VERSION)) ~= version then", "then"),
    (
        "if jobs[id] then\n        return job_conflict(id)",
        "if false then\n        return job_conflict(id)",
    ),
    ("return 2, known ~= args[next_arg + 1]\n      and", "return 2, not known and"),
    (
        "local known = found and sub(found, 1, #args[next_arg + 1])",
        "local known = found and args[next_arg + 1]",
    ),
    ("return 2, (found or '') ~= args[next_arg + 1]\n      and 'q'", "return 2, false and 'q'"),
    ("return declared and byte(declared, 1) >= PAUSED", "return false"),
    ("return 1, found ~= wanted and 'k'", "return 1, found and not wanted and 'k'"),
    ("if held and (parse('>i8', held, 17)) > now then", "if held then"),
    ("return known and (parse('>i8', known)) > now and known", "return known"),
    ("return 2, not is_so\n      and 'm'", "return 2, known and args[next_arg + 1] == '' and 'm'"),
    ("return 2, not is_so\n      and 'm'", "return 2, not known and not is_so and 'm'"),
    ("return sub(known, 9, 16) == hash and 'r'", "return 'r'"),
    ("> KINDS_MAX then", "> KINDS_MAX + 1 then"),
    ("if over_limit.queue == queue then", "if #over_limit == 0 then"),
    ("if class.waiting > 0 or over_limit.added[name] then", "if over_limit.added[name] then"),
    ("added_kinds[class.queue] = (added_kinds[class.queue] or 0) - 1", ""),
    ("  next_arg = after\n", ""),
    // Unique keys.
    ("if old_hold == new_hold and not was_deleted then\n    return", "if true then\n    return"),
    (
        "if old_hold == new_hold and not was_deleted then\n    return",
        "if old_hold == new_hold then\n    return",
    ),
    (
        "if old_hold ~= NOT_HELD or was_deleted then\n    release_key(key, id)",
        "if false then\n    release_key(key, id)",
    ),
    // Mutations.
    ("or sub(stored, AT_EPOCH, AT_EPOCH + 7) ~= lease_epoch then", "then"),
    ("if at_rest > at_progress and not is_later(kept, stored, at_progress) then", "if false then"),
    ("set_row(sessions, args[next_arg], false)", ""),
    (
        "(old_state >= SUCCEEDED and new_state < SUCCEEDED or is_deleted(stored))",
        "is_deleted(stored)",
    ),
    (
        "(old_state >= SUCCEEDED and new_state < SUCCEEDED or is_deleted(stored))",
        "old_state >= SUCCEEDED and new_state < SUCCEEDED",
    ),
    ("  if attempt_end then\n    add_event('E', attempt_end)\n  end", ""),
    (
        "if new_state == READY and old_state ~= READY then\n      became_ready[class.name] = class",
        "if new_state == READY then",
    ),
    // Indexes.
    ("if old_state == READY then\n    drop(ready_set_of", "if false then\n    drop(ready_set_of"),
    ("byte(old, AT_PRIORITY)), id)", "byte(job, AT_PRIORITY)), id)"),
    (
        "    if spec or old_state == 0 then\n      specs[id] = new",
        "    if old_state == 0 then\n      specs[id] = new",
    ),
    ("if old_state == SCHEDULED then\n    drop(due, id)", "if false then\n    drop(due, id)"),
    (
        "if old_state == BLOCKED then\n    set_edges(id, old, false)",
        "if false then\n    set_edges(id, old, false)",
    ),
    (
        "if before then\n      drop(running_of(before), id)",
        "if false then\n      drop(running_of(before), id)",
    ),
    ("drop_terminal(id, decimal(sub(old, AT_FINISHED, AT_FINISHED + 7)))", ""),
    ("terminality_changed[#terminality_changed + 1] = id", ""),
    (
        "if before ~= NEVER then\n      drop(deadlines, id)\n    end\n    if after ~= NEVER then\n      add(deadlines, decimal(after), id)\n    end\n  end\nend",
        "if after ~= NEVER then\n      add(deadlines, decimal(after), id)\n    end\n  end\nend",
    ),
    ("count_depth(queue, old_state, -1)", ""),
    ("has_jobs = call('EXISTS', ready_set.key) == 1", "has_jobs = false"),
    ("local is_released = jobs[parent] and is_terminal(jobs[parent])", "local is_released = false"),
    ("call('SREM', KEY.RELEASED, parent)", ""),
    ("call(is_terminal(jobs[id]) and 'SADD' or 'SREM', KEY.RELEASED, id)", ""),
    ("sessions.dirty[session] = true", ""),
    (
        "call(is_orphaned and 'SADD' or 'SREM', KEY.UNKNOWN_SESSIONS, session)",
        "if is_orphaned then call('SADD', KEY.UNKNOWN_SESSIONS, session) end",
    ),
    (
        "if class.row then\n        call('HDEL', key, class.kind)",
        "if false then\n        call('HDEL', key, class.kind)",
    ),
    // Promotion and claims.
    (
        "put(id, pack('>BBBBI8', 1, READY, reason, priority, version + 1) .. now8",
        "put(id, pack('>BBBBI8', 1, READY, 0, priority, version + 1) .. now8",
    ),
    (
        "version + 1)\n    .. now8 .. pack('>I8I4', lease_epoch + 1, attempt + 1)",
        "version + 1)\n    .. now8 .. pack('>I8I4', lease_epoch, attempt + 1)",
    ),
    ("deadline = pack('>i8', now + (parse('>i8', deadline)))", ""),
    ("return -DEFAULT_BOOST_MS * priority", "return 0"),
    ("return -boost_ms * priority", "return -DEFAULT_BOOST_MS * priority"),
    ("return (PRIORITY_MAX - priority) * STRICT_STEP", "return -priority * DEFAULT_BOOST_MS"),
    ("if a.score ~= b.score then", "if false then"),
    ("if a1 ~= b1 then\n    return a1 < b1", "if a1 ~= b1 then\n    return a1 > b1"),
    ("if is_before(heap[child], heap[least]) then", "if false then"),
    ("if wanted[kind] and class.mask > 0 then", "if class.mask > 0 then"),
    ("and sub(found, 1, 8) == writer and", "and"),
    ("(parse('>i8', found, 9)) > now\n", "true\n"),
    ("if deadline ~= NEVER and (parse('>i8', deadline)) <= now then", "if false then"),
    ("and bytes < request.max_bytes and", "and"),
    ("bytes = bytes + (parse('>I4', stored, AT_PAYLOAD))", ""),
    (
        "call_in_chunks('ZREM', reader.ready_set.key, reader.started)",
        "call('ZREMRANGEBYRANK', reader.ready_set.key, 0, #reader.started - 1)",
    ),
    (
        "reader.at = reader.at + 1\n    if not peek(reader, batch) then",
        "reader.at = reader.at + 2\n    if not peek(reader, batch) then",
    ),
    ("reader.fetched = from + #reader.ids", "reader.fetched = from"),
    ("count_waiting(class, -1)", ""),
    ("adds[#adds + 1] = id\n  local before", "local before"),
    // The end of a call.
    ("local newest = event_count > 0 and seq or seq - 1", "local newest = seq"),
    ("call('EXISTS', KEY.RELEASED) == 1 or call('EXISTS', KEY.UNKNOWN_SESSIONS) == 1", "false"),
    ("first_score(KEY.DUE), ", ""),
    ("first_score(KEY.DEADLINES), ", ""),
    ("math.max(wake, now)", "wake"),
    (
        "if class.mask > 0 then\n      found[#found + 1] = with_length(name)",
        "if true then\n      found[#found + 1] = with_length(name)",
    ),
    (
        "record_bytes = record_bytes + #args[next_arg + 1] - (old and #old or 0)",
        "record_bytes = record_bytes + #args[next_arg + 1]",
    ),
    ("record_bytes = record_bytes - (found and #found or 0)", ""),
    // Worker infos and drained sessions.
    ("set_row(session_extra.worker_infos, args[next_arg], false)", ""),
    ("set_row(session_extra.drained, args[next_arg], false)", ""),
    ("return session_extra.any_drained and row(drained, session)", "return false"),
    ("next(drained.dirty) ~= nil or", "false or"),
    (
        "if row(sessions, args[next_arg]) then\n      set_row(session_extra.worker_infos",
        "if true then\n      set_row(session_extra.worker_infos",
    ),
    (
        "if row(sessions, args[next_arg]) then\n      set_row(session_extra.drained",
        "if true then\n      set_row(session_extra.drained",
    ),
    // The other scripts.
    ("if (parse('>I8', found[at], 17)) <= projected then", "if true then"),
    ("if not awaited[at] and #evicted < limit then", "if #evicted < limit then"),
    (
        "'-inf', '(' .. before, 'LIMIT', 0,\n  limit + SCAN_EXTRA)",
        "'-inf', before, 'LIMIT', 0, limit + SCAN_EXTRA)",
    ),
    ("if call('HINCRBY', KEY.DEPTHS, field, -by) == 0 then", "if false then"),
    ("call_in_chunks('ZREM', KEY.TERMINAL, evicted_members)", ""),
    ("call('ZADD', KEY.SESSION_EXPIRY, until_text, found[at])", ""),
    ("call('HSET', KEY.SESSIONS, found[at], sub(rows[at], 1, 8) .. expires)", ""),
    ("remaining = remaining - #ids\n", ""),
    ("call('SRANDMEMBER', KEY.UNKNOWN_SESSIONS, limit)", "nil"),
    ("'LIMIT', 0, 2 * limit)", "'LIMIT', 0, limit)"),
];

fn all_text() -> String {
    [
        super::RECORD,
        super::BEGIN,
        super::ROWS,
        super::JOBS,
        super::INDEXES,
        super::TRANSACTIONS,
        super::CLAIM,
        super::COMMIT,
        super::TRIM_JOBS,
        super::EXTEND_SESSIONS,
        super::APPEND_JOBS,
        super::DUE_WORK,
        super::SESSION_JOBS,
    ]
    .join("\n")
}

#[test]
fn every_mutant_replaces_a_text_that_occurs_once() {
    let text = all_text();
    let misplaced: Vec<_> =
        MUTANTS.iter().filter(|(original, _)| text.matches(original).count() != 1).collect();
    assert!(misplaced.is_empty(), "{misplaced:#?}");
}

/// Returns whether the conformance suite fails for a mutant.
fn is_killed((original, replacement): Mutant) -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    let server = RedisServer::start(dir.path(), &["--appendonly", "no"]);
    let url = server.url();
    let suite = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime");
        let made = AtomicU64::new(0);
        let make = async || {
            let nth = made.fetch_add(1, Ordering::Relaxed);
            let key_prefix = format!("mutant-{nth}");
            let options = OpenOptions { key_prefix, ..OpenOptions::new(url.clone(), 1_000) };
            let scripts = Scripts::edited(&|part| match original {
                "" => part.to_owned(),
                original => part.replace(original, replacement),
            });
            Harness::new(Arc::new(RedisStore::open_with(options, scripts).await.expect("opened")))
        };
        runtime.block_on(async {
            run_suite(&make).await;
            for nth in 0..3 {
                run_property_test(&mut make().await, seed_from_env().wrapping_add(nth), 2_000)
                    .await;
            }
            let client = redis::Client::open(url.clone()).expect("a valid URL");
            let mut connection =
                client.get_multiplexed_async_connection().await.expect("connected");
            for nth in 0..made.load(Ordering::Relaxed) {
                let count = audit::count(&format!("mutant-{nth}"));
                audit::check(count.query_async(&mut connection).await.expect("a reply"));
            }
        });
    });
    suite.join().is_err()
}

#[test]
fn the_original_scripts_pass() {
    assert!(!is_killed(("", "")));
}

#[test]
fn some_mutants_are_killed() {
    let first = seed_from_env() as usize;
    for nth in 0..3 {
        let mutant = MUTANTS[first.wrapping_add(nth * 29) % MUTANTS.len()];
        assert!(is_killed(mutant), "the suite passes for {mutant:?}");
    }
}

#[test]
#[ignore = "soak test: every mutant, about a second each"]
fn soak_every_mutant_is_killed() {
    let survivors: Vec<_> = MUTANTS.iter().filter(|mutant| !is_killed(**mutant)).collect();
    assert!(survivors.is_empty(), "the suite passes for {survivors:#?}");
}
