//! Proofs of the rules of a job, from outside.

mod boundary;
mod deadline;
mod dependency;
mod document;
mod exhaustive;
mod fixture;
mod machine;
mod pause;
mod state_machine;
mod unique;
mod walk;
