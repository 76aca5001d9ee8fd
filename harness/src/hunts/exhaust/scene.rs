//! A scene: one machine of the domain, and the steps that its programs are made of.

use contract::{Dialect, Machine, Program, Step};

/// A machine, and the steps that its programs are made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scene {
    /// What the scene is about, in a few words, for people.
    pub title: String,
    /// The machine with its dialect, as a program without steps.
    pub start: Program,
    /// The steps that programs are made of, all different. Their order gives programs their numbers.
    pub alphabet: Vec<Step>,
}

impl Scene {
    pub(super) fn new(title: String, dialect: Dialect, machine: Machine, alphabet: Vec<Step>) -> Self {
        Self { title, start: Program { dialect, machine, steps: Vec::new() }, alphabet }
    }
}
