//! Tests of the store on real Redis servers, which they start themselves.

mod audit;
mod big;
mod cluster;
mod conformance;
mod failover;
mod head;
mod inspect;
mod kill;
mod lead;
mod lost;
mod newer;
mod news;
mod place;
mod refusals;
mod replicas;
mod trim;
