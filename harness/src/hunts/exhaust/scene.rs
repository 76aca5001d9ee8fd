//! A scene: one machine of the domain, and the steps of which its programs consist.

use contract::{Dialect, Machine, Program, Step};

/// A machine with the steps of which its programs consist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scene {
    /// What the scene is about, in a few words.
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
