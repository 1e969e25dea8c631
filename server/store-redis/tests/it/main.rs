//! Tests of the store on real Redis servers, which the tests start.

mod audit;
mod cluster;
mod conformance;
mod failover;
mod head;
mod inspect;
mod large_calls;
mod leader;
mod lost_replies;
mod newer_version;
mod peer_events;
mod redis_kill;
mod refusals;
mod replicas;
mod support;
mod trim;
