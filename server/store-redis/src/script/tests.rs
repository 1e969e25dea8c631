//! Deliberate mistakes in the scripts, each of which the suite of the port must notice.
//! A few of them run each time, by seed; the soak test runs all.

#[path = "../../tests/it/audit.rs"]
mod audit;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sentinel_store::conformance::{Harness, run_suite, seed_from_env, run_property_test};

use sentinel_faults::RedisServer;

use super::Scripts;
use crate::{OpenOptions, RedisStore};

/// What is there, and what is put in its place.
type Mistake = (&'static str, &'static str);

/// Each text is there once in all scripts together.
const MISTAKES: &[Mistake] = &[
    // Repeats and numbers.
    ("if known == number then", "if false then"),
    ("elseif known > number then", "elseif false then"),
    ("call('HSET', KEY.WRITERS, writer, pack('>I8', number) .. reply)", ""),
    ("seq = meta[1], tonumber(meta[2]) + 1", "seq = meta[1], tonumber(meta[2]) + 2"),
    // Guards.
    ("or (parse('>I8', there, AT_VERSION)) ~= version then", "then"),
    (
        "if jobs[id] then\n        return job_conflict(id)",
        "if false then\n        return job_conflict(id)",
    ),
    ("return 2, known ~= A[data + 1] and", "return 2, not known and"),
    ("local known = there and sub(there, 1, #A[data + 1])", "local known = there and A[data + 1]"),
    ("return 2, (there or '') ~= A[data + 1] and 'q'", "return 2, false and 'q'"),
    ("return declared and byte(declared, 1) >= PAUSED", "return false"),
    ("return 1, there ~= wanted and 'k'", "return 1, there and not wanted and 'k'"),
    ("if held and (parse('>i8', held, 17)) > now then", "if held then"),
    ("return known and (parse('>i8', known)) > now and known", "return known"),
    ("return 2, not is_so and 'm'", "return 2, known and A[data + 1] == '' and 'm'"),
    ("return 2, not is_so and 'm'", "return 2, not known and not is_so and 'm'"),
    ("return sub(known, 9, 16) == hash and 'r'", "return 'r'"),
    ("> KINDS_MAX then", "> KINDS_MAX + 1 then"),
    ("if crowded.queue == queue then", "if #crowded == 0 then"),
    ("if class.waiting > 0 or crowded.added[name] then", "if crowded.added[name] then"),
    ("more_kinds[class.queue] = (more_kinds[class.queue] or 0) - 1", ""),
    ("  data = after\n", ""),
    // Keys.
    ("if was == is and not is_gone then\n    return", "if true then\n    return"),
    ("if was == is and not is_gone then\n    return", "if was == is then\n    return"),
    (
        "if was ~= NOT_HELD or is_gone then\n    release(key, id)",
        "if false then\n    release(key, id)",
    ),
    // Changes.
    ("or sub(stored, AT_EPOCH, AT_EPOCH + 7) ~= lease_epoch then", "then"),
    ("if at_rest > at_progress and not is_later(kept, stored, at_progress) then", "if false then"),
    ("set_row(sessions, A[data], false)", ""),
    ("(was >= SUCCEEDED and is < SUCCEEDED or is_deleted(stored))", "is_deleted(stored)"),
    (
        "(was >= SUCCEEDED and is < SUCCEEDED or is_deleted(stored))",
        "was >= SUCCEEDED and is < SUCCEEDED",
    ),
    ("  if ending then\n    note_event('E', ending)\n  end", ""),
    (
        "if is == READY and was ~= READY then\n      became_ready[class.name] = class",
        "if is == READY then",
    ),
    // Indexes.
    ("if was == READY then\n    drop(lane_of", "if false then\n    drop(lane_of"),
    ("byte(old, AT_PRIORITY)), id)", "byte(s, AT_PRIORITY)), id)"),
    (
        "    if spec or was == 0 then\n      specs[id] = new",
        "    if was == 0 then\n      specs[id] = new",
    ),
    ("if was == SCHEDULED then\n    drop(due, id)", "if false then\n    drop(due, id)"),
    (
        "if was == BLOCKED then\n    note_edges(id, old, false)",
        "if false then\n    note_edges(id, old, false)",
    ),
    (
        "if before then\n      drop(running_of(before), id)",
        "if false then\n      drop(running_of(before), id)",
    ),
    ("drop_final(id, text(sub(old, AT_FINISHED, AT_FINISHED + 7)))", ""),
    ("turned[#turned + 1] = id", ""),
    (
        "if before ~= NEVER then\n      drop(deadlines, id)\n    end\n    if after ~= NEVER then\n      add(deadlines, text(after), id)\n    end\n  end\nend",
        "if after ~= NEVER then\n      add(deadlines, text(after), id)\n    end\n  end\nend",
    ),
    ("count_depth(queue, was, -1)", ""),
    ("has_jobs = call('EXISTS', lane.key) == 1", "has_jobs = false"),
    ("local is_released = jobs[parent] and is_terminal(jobs[parent])", "local is_released = false"),
    ("call('SREM', KEY.RELEASED, parent)", ""),
    ("call(is_terminal(jobs[id]) and 'SADD' or 'SREM', KEY.RELEASED, id)", ""),
    ("sessions.dirty[session] = true", ""),
    (
        "call(is_orphaned and 'SADD' or 'SREM', KEY.UNKNOWN, session)",
        "if is_orphaned then call('SADD', KEY.UNKNOWN, session) end",
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
    ("alarm = pack('>i8', now + (parse('>i8', alarm)))", ""),
    ("return -DEFAULT_BOOST_MS * priority", "return 0"),
    ("return -boost_ms * priority", "return -DEFAULT_BOOST_MS * priority"),
    ("return (PRIORITY_MAX - priority) * STRICT_STEP", "return -priority * DEFAULT_BOOST_MS"),
    ("if a.score ~= b.score then", "if false then"),
    ("if a1 ~= b1 then\n    return a1 < b1", "if a1 ~= b1 then\n    return a1 > b1"),
    ("if is_before(heap[child], heap[least]) then", "if false then"),
    ("if wanted[kind] and class.mask > 0 then", "if class.mask > 0 then"),
    ("and sub(there, 1, 8) == writer and", "and"),
    ("(parse('>i8', there, 9)) > now\n", "true\n"),
    ("if deadline ~= NEVER and (parse('>i8', deadline)) <= now then", "if false then"),
    ("and bytes < wish.max_bytes and", "and"),
    ("bytes = bytes + (parse('>I4', stored, AT_PAYLOAD))", ""),
    (
        "with_all('ZREM', reader.lane.key, reader.started)",
        "call('ZREMRANGEBYRANK', reader.lane.key, 0, #reader.started - 1)",
    ),
    (
        "reader.at = reader.at + 1\n    if not peek(reader, batch) then",
        "reader.at = reader.at + 2\n    if not peek(reader, batch) then",
    ),
    ("reader.fetched = from + #reader.ids", "reader.fetched = from"),
    ("count_waiting(class, -1)", ""),
    ("adds[#adds + 1] = id\n  local before, after", "local before, after"),
    // The end of a call.
    ("local newest = event_count > 0 and seq or seq - 1", "local newest = seq"),
    ("call('EXISTS', KEY.RELEASED) == 1 or call('EXISTS', KEY.UNKNOWN) == 1", "false"),
    ("first_score(KEY.DUE), ", ""),
    ("first_score(KEY.ALARMS), ", ""),
    ("math.max(wake, now)", "wake"),
    (
        "if class.mask > 0 then\n      found[#found + 1] = sized(name)",
        "if true then\n      found[#found + 1] = sized(name)",
    ),
    (
        "answer_bytes = answer_bytes + #A[data + 1] - (old and #old or 0)",
        "answer_bytes = answer_bytes + #A[data + 1]",
    ),
    ("answer_bytes = answer_bytes - (there and #there or 0)", ""),
    // Cards of sessions.
    ("set_row(beside.cards, A[data], false)", ""),
    ("set_row(beside.drained, A[data], false)", ""),
    ("return beside.any_drained and row(drained, session)", "return false"),
    ("next(drained.dirty) ~= nil or", "false or"),
    (
        "if row(sessions, A[data]) then\n      set_row(beside.cards",
        "if true then\n      set_row(beside.cards",
    ),
    (
        "if row(sessions, A[data]) then\n      set_row(beside.drained",
        "if true then\n      set_row(beside.drained",
    ),
    // The other scripts.
    ("if (parse('>I8', found[at], 17)) <= projected then", "if true then"),
    ("if not awaited[at] and #gone < limit then", "if #gone < limit then"),
    (
        "'-inf', '(' .. before, 'LIMIT', 0, limit + LOOK_PAST)",
        "'-inf', before, 'LIMIT', 0, limit + LOOK_PAST)",
    ),
    ("if call('HINCRBY', KEY.DEPTHS, field, -by) == 0 then", "if false then"),
    ("with_all('ZREM', KEY.FINALS, gone_members)", ""),
    ("call('ZADD', KEY.EXPIRY, until_text, found[at])", ""),
    ("call('HSET', KEY.SESSIONS, found[at], sub(rows[at], 1, 8) .. expires)", ""),
    ("left = left - #ids\n", ""),
    ("call('SRANDMEMBER', KEY.UNKNOWN, limit)", "nil"),
    ("'LIMIT', 0, 2 * limit)", "'LIMIT', 0, limit)"),
];

fn all_text() -> String {
    [
        super::RECORD,
        super::BEGIN,
        super::ROWS,
        super::JOBS,
        super::INDEX,
        super::GROUPS,
        super::CLAIM,
        super::COMMIT,
        super::TRIM,
        super::EXTEND,
        super::TELL,
        super::DUE_WORK,
        super::HELD,
    ]
    .join("\n")
}

#[test]
fn every_mistake_has_its_one_place() {
    let text = all_text();
    let misplaced: Vec<_> =
        MISTAKES.iter().filter(|(there, _)| text.matches(there).count() != 1).collect();
    assert!(misplaced.is_empty(), "{misplaced:#?}");
}

/// The suite fails on a store that makes the mistake.
fn is_noticed((there, instead): Mistake) -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    let server = RedisServer::start(dir.path(), &["--appendonly", "no"]);
    let url = server.url();
    let suite = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime");
        let made = AtomicU64::new(0);
        let make = async || {
            let nth = made.fetch_add(1, Ordering::Relaxed);
            let key_prefix = format!("mistake-{nth}");
            let options = OpenOptions { key_prefix, ..OpenOptions::new(url.clone(), 1_000) };
            let scripts = Scripts::from(&|part| match there {
                "" => part.to_owned(),
                there => part.replace(there, instead),
            });
            Harness::new(Arc::new(RedisStore::open_with(options, scripts).await.expect("opens")))
        };
        runtime.block_on(async {
            run_suite(&make).await;
            for nth in 0..3 {
                run_property_test(&mut make().await, seed_from_env().wrapping_add(nth), 2_000).await;
            }
            let client = redis::Client::open(url.clone()).expect("is an address");
            let mut link = client.get_multiplexed_async_connection().await.expect("connects");
            for nth in 0..made.load(Ordering::Relaxed) {
                let count = audit::count(&format!("mistake-{nth}"));
                audit::check(count.query_async(&mut link).await.expect("answers"));
            }
        });
    });
    suite.join().is_err()
}

#[test]
fn no_mistake_is_seen_in_the_scripts_as_they_are() {
    assert!(!is_noticed(("", "")));
}

#[test]
fn some_mistakes_are_noticed() {
    let first = seed_from_env() as usize;
    for nth in 0..3 {
        let mistake = MISTAKES[first.wrapping_add(nth * 29) % MISTAKES.len()];
        assert!(is_noticed(mistake), "nobody noticed: {mistake:?}");
    }
}

#[test]
#[ignore = "soak test: every mutation, about a second each"]
fn soak_every_mistake_is_noticed() {
    let missed: Vec<_> = MISTAKES.iter().filter(|mistake| !is_noticed(**mistake)).collect();
    assert!(missed.is_empty(), "nobody noticed: {missed:#?}");
}
