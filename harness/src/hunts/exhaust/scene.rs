//! A scene: one machine of the domain, with the steps that its programs are made of.

use contract::{Dialect, Machine, Program, Step};

/// A machine with the steps that its programs are made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scene {
    /// What it is about, in a few words.
    pub title: String,
    /// The program without steps.
    pub start: Program,
    /// The steps, all different.
    pub alphabet: Vec<Step>,
}

impl Scene {
    pub(super) fn new(title: String, dialect: Dialect, machine: Machine, alphabet: Vec<Step>) -> Self {
        Self { title, start: Program { dialect, machine, steps: Vec::new() }, alphabet }
    }
}
