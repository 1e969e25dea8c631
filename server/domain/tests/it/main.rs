//! Tests of the rules of a job through the public API.

mod boundary;
mod deadline;
mod dependency;
mod document;
mod exhaustive;
mod fixture;
mod machine;
mod property;
mod retry;
mod state_machine;
mod unique;
