//! The kinds of voters that the option `--against` can name.

use std::sync::Arc;

use contract::Dialect;

use super::model::ModelOf;
use super::{Candidacy, qemu};

/// A kind of voter that the option `--against` can name.
pub struct VoterKind {
    /// The names of voters of this kind, such as `qemu`; several names as `A, B or C`.
    pub pattern: &'static str,
    /// What voters of this kind are, in a few words: for the help of `--against`.
    pub help: &'static str,
    /// Returns the description of the voter with this name; `None` if no voter of this kind has the name.
    pub named: fn(name: &str, options: &Options) -> Option<Arc<dyn Candidacy>>,
}

/// Every kind of voter that the option `--against` can name.
pub const KINDS: &[VoterKind] = &[
    VoterKind {
        pattern: qemu::NAME,
        help: "QEMU's pseries machine, live",
        named: |name, options| (name == qemu::NAME).then(|| Arc::new(options.qemu.clone()) as Arc<dyn Candidacy>),
    },
    VoterKind {
        pattern: "model/lopapr, model/kvm or model/qemu",
        help: "the reference in another dialect",
        named: |name, _| {
            let dialect = Dialect::from_name(name.strip_prefix("model/")?)?;
            Some(Arc::new(ModelOf(dialect)))
        },
    },
];

/// The options of the command line for voters that are no subjects, such as QEMU.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Which QEMU is run, and its limits.
    pub qemu: qemu::Config,
}

/// Returns the description of the voter that `--against` names, except `reference`, for which the caller adds no voter.
///
/// # Errors
/// Fails if no kind of voter has this name. The text lists the names.
pub fn against(name: &str, options: &Options) -> Result<Arc<dyn Candidacy>, String> {
    KINDS.iter().find_map(|kind| (kind.named)(name, options)).ok_or_else(|| {
        let patterns: Vec<&str> = KINDS.iter().map(|kind| kind.pattern).collect();
        format!("expected reference, {}", patterns.join(", "))
    })
}
