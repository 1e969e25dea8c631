//! Proofs of the rules of a job, from outside.

mod alarm;
mod boundary;
mod dependency;
mod document;
mod exhaustive;
mod fixture;
mod machine;
mod pause;
mod state_machine;
mod unique;
mod walk;
