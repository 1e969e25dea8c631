//! Property tests: the ledger's results equal those of a model built from the journal.

use rand::RngExt;
use rand::seq::IndexedRandom;
use sentinel_domain::{AttemptEnd, Filter, Job, JobId, Label, Scopes, State, held_key};
use sentinel_ledger::{Ledger, PageRequest, QueueCount};
use sentinel_store::Position;

use crate::backend::{BackendKind, fresh_ledger, on_every_backend};
use crate::journal_fixture::{Journal, KINDS, QUEUES, START};

on_every_backend!(
    lists_match_the_filter_predicate,
    a_count_of_matches_stops_at_the_scan_limit,
    look_ups_match_the_model,
    counts_match_the_model,
    pages_contain_each_job_once_while_jobs_are_added,
    unique_keys_are_held_until_they_expire,
    producer_records_are_kept_until_they_expire,
);

/// Projects a random journal in batches of random size.
async fn grow(journal: &mut Journal, ledger: &Ledger, entries: usize) {
    let mut from = ledger.checkpoint().await.expect("a checkpoint");
    let mut left = entries;
    while left > 0 {
        let batch = journal.rng.random_range(1..=left.min(12));
        left -= batch;
        let batch: Vec<_> = (0..batch)
            .map(|_| {
                let changes = journal.rng.random_range(1..12);
                journal.random_entry(changes)
            })
            .collect();
        from = ledger.project(from, batch).await.expect("a projection");
        assert_eq!(from, journal.position);
    }
}

fn random_filter(journal: &mut Journal) -> Filter {
    let span = journal.now - START + 100;
    let rng = &mut journal.rng;
    let mut filter = Filter::default();
    for _ in 0..rng.random_range(0..3) {
        filter.queues.push(QUEUES.choose(rng).copied().unwrap_or("none").into());
    }
    for _ in 0..rng.random_range(0..3) {
        filter.kinds.push(KINDS.choose(rng).copied().unwrap_or("none").into());
    }
    for _ in 0..rng.random_range(0..4) {
        filter.states.push(*State::ALL.choose(rng).expect("not empty"));
    }
    for key in ["region", "shop"] {
        if rng.random_bool(0.3) {
            let value = if rng.random_bool(0.5) { "a" } else { "b" };
            filter.labels.push(Label { key: key.into(), value: value.into() });
        }
    }
    if rng.random_bool(0.3) {
        filter.created_after = Some(START + rng.random_range(-10..span));
    }
    if rng.random_bool(0.3) {
        filter.created_before = Some(START + rng.random_range(-10..span));
    }
    if rng.random_bool(0.3) {
        let queue = QUEUES.choose(rng).copied().unwrap_or("none");
        let prefix = format!("{}*", &queue[..1]);
        filter.within =
            Scopes::new([if rng.random_bool(0.5) { queue.into() } else { prefix.into() }]);
    }
    filter
}

async fn list_all(ledger: &Ledger, filter: &Filter, size: usize) -> Vec<Job> {
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let request = PageRequest { size, before };
        let page = ledger.list(filter.clone(), request).await.expect("a page");
        assert!(page.jobs.len() <= size);
        found.extend(page.jobs);
        before = page.next;
        if before.is_none() {
            return found;
        }
    }
}

async fn lists_match_the_filter_predicate(backend: BackendKind) {
    for seed in 0..6 {
        let (_database, ledger) = fresh_ledger(backend).await;
        let mut journal = Journal::new(seed);
        grow(&mut journal, &ledger, 60).await;
        for _ in 0..120 {
            let filter = random_filter(&mut journal);
            let size = journal.rng.random_range(1..60);
            let expected: Vec<Job> =
                journal.jobs.values().rev().filter(|job| filter.matches(job)).cloned().collect();
            let found = list_all(&ledger, &filter, size).await;
            assert_eq!(found, expected, "seed {seed}, {filter:?}, pages of {size}");
        }
    }
}

/// Reads the attempts in pages of two.
async fn all_attempts(ledger: &Ledger, id: JobId) -> Vec<AttemptEnd> {
    let mut found: Vec<AttemptEnd> = Vec::new();
    loop {
        let below = found.last().map(|end| end.epoch);
        let page = ledger.attempts(id, below, 2).await.expect("attempts");
        let is_last = page.len() < 2;
        found.extend(page);
        if is_last {
            return found;
        }
    }
}

async fn look_ups_match_the_model(backend: BackendKind) {
    for seed in 10..16 {
        let (_database, ledger) = fresh_ledger(backend).await;
        let mut journal = Journal::new(seed);
        grow(&mut journal, &ledger, 60).await;
        let mut ids: Vec<JobId> = journal.jobs.keys().copied().collect();
        ids.push(JobId::new(START, 9, 1));
        let expected: Vec<Option<Job>> =
            ids.iter().map(|id| journal.jobs.get(id).cloned()).collect();
        assert_eq!(ledger.get(ids.clone()).await.expect("jobs"), expected);
        for id in &ids {
            let mut expected = journal.failed_attempts.get(id).cloned().unwrap_or_default();
            expected.reverse();
            assert_eq!(all_attempts(&ledger, *id).await, expected, "{id}");
        }
        let live: Vec<Job> =
            journal.jobs.values().filter(|job| !job.status.state.is_terminal()).cloned().collect();
        let mut found = Vec::new();
        loop {
            let page =
                ledger.live_jobs(found.last().map(|job: &Job| job.id), 7).await.expect("live");
            let is_last = page.len() < 7;
            found.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(found, live);
        let queues: Vec<_> = journal.queues.values().cloned().collect();
        assert_eq!(ledger.queues().await.expect("queues"), queues);
        assert_eq!(ledger.as_of().await.expect("a time"), journal.now);
    }
}

async fn a_count_of_matches_stops_at_the_scan_limit(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let mut journal = Journal::new(31);
    grow(&mut journal, &ledger, 60).await;
    for _ in 0..60 {
        let mut filter = random_filter(&mut journal);
        filter.states.push(State::Ready);
        let expected = journal.jobs.values().filter(|job| filter.matches(job)).count() as u64;
        let all = ledger.count_matching(filter.clone(), 100_000).await.expect("counted");
        assert_eq!(all, (expected, false), "{filter:?}");
        for max_scanned in [1, 7, 50] {
            let (count, capped) =
                ledger.count_matching(filter.clone(), max_scanned).await.expect("counted");
            assert!(count <= max_scanned as u64 && count <= expected, "{max_scanned}: {filter:?}");
            assert!(capped || count == expected, "{max_scanned}: {filter:?}");
        }
    }
}

async fn counts_match_the_model(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let mut journal = Journal::new(20);
    grow(&mut journal, &ledger, 80).await;
    for queues in [vec![], vec!["mail".into()], vec!["none".into(), "images".into()]] {
        let mut expected = std::collections::BTreeMap::new();
        for job in journal.jobs.values() {
            if queues.is_empty() || queues.contains(&job.spec.queue) {
                *expected.entry((job.spec.queue.clone(), job.status.state)).or_insert(0) += 1;
            }
        }
        let pairs = |counts: Vec<QueueCount>| {
            assert!(counts.iter().all(|count| !count.capped));
            counts.into_iter().map(|c| ((c.queue, c.state), c.count)).collect::<Vec<_>>()
        };
        let found = ledger.count_by_state(queues.clone()).await.expect("counts");
        assert_eq!(pairs(found), expected.clone().into_iter().collect::<Vec<_>>());
        let named = !queues.is_empty();
        expected.retain(|(_, state), _| named && state.is_terminal());
        let found = ledger.count_terminal(queues).await.expect("counts");
        assert_eq!(pairs(found), expected.into_iter().collect::<Vec<_>>());
    }
}

async fn pages_contain_each_job_once_while_jobs_are_added(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let mut journal = Journal::new(30);
    let first = vec![journal.entry_with_new_jobs(100)];
    let mut from = ledger.project(Position::default(), first).await.expect("a projection");
    let expected: Vec<JobId> = journal.jobs.keys().rev().copied().collect();
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let request = PageRequest { size: 9, before };
        let page = ledger.list(Filter::default(), request).await.expect("a page");
        found.extend(page.jobs.iter().map(|job| job.id));
        before = page.next;
        if before.is_none() {
            break;
        }
        from =
            ledger.project(from, vec![journal.entry_with_new_jobs(5)]).await.expect("a projection");
    }
    assert_eq!(found, expected);
}

async fn unique_keys_are_held_until_they_expire(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let mut journal = Journal::new(8);
    for _ in 0..10 {
        grow(&mut journal, &ledger, 10).await;
        let now = journal.now;
        let held = journal.jobs.values().filter_map(|job| {
            let (key, until) = held_key(job)?;
            until.filter(|until| *until > now).map(|until| (key, job.id, until))
        });
        let mut expected: Vec<_> = held.collect();
        expected.sort();
        let mut found = ledger.held_unique_keys(now).await.expect("keys");
        found.sort();
        assert_eq!(found, expected);
    }
    assert!(ledger.held_unique_keys(journal.now + 10_000).await.expect("keys").is_empty());
}

async fn producer_records_are_kept_until_they_expire(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let mut journal = Journal::new(9);
    for _ in 0..20 {
        grow(&mut journal, &ledger, 5).await;
        let now = journal.now;
        let known = journal.producers.values().filter(|producer| producer.expires_at > now);
        let mut expected: Vec<_> = known.cloned().collect();
        expected.sort_by_key(|producer| (producer.expires_at, producer.id.clone()));
        let mut found = ledger.producer_records(now).await.expect("producers");
        found.sort_by_key(|producer| (producer.expires_at, producer.id.clone()));
        assert_eq!(found, expected);
    }
    assert!(ledger.producer_records(journal.now + 10_000).await.expect("producers").is_empty());
}
