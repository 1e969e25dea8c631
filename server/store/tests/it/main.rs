//! Tests of the oracle, the fault layer and the codec, and the exhaustive model check.

mod conformance;
mod fault;
mod fuzz;
mod model;
