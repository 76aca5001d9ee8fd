//! `realmode rules`: lists every rule, how often a corpus decides each, or where the dialects disagree.

use std::fmt::Write as _;
use std::path::PathBuf;

use realmode_diff::{Rule, SubjectKind, Tally, Verdict, dialects};

use super::{CLEAN, FINDING, Failure, Outcome, files, load, print};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Count how often the programs in this folder, or this one program, decide each rule
    #[arg(long, value_name = "DIR|FILE")]
    corpus: Option<PathBuf>,

    /// Print docs/dialects.md instead: where LoPAPR, KVM and QEMU disagree, and the programs that show it
    #[arg(long, conflicts_with = "corpus")]
    dialects: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    if args.dialects {
        print(dialects::document())?;
        return Ok(CLEAN);
    }
    let mut found = 0;
    let tally = match &args.corpus {
        None => None,
        Some(folder) => {
            let mut checker = SubjectKind::Candidate.checker();
            let mut sum = Tally::default();
            for path in files(std::slice::from_ref(folder))? {
                let program = load(&path)?;
                checker.renew().map_err(Failure::missing)?;
                let verdict = checker.check(&program);
                match &verdict {
                    Verdict::Agreed => {}
                    Verdict::Invalid(invalid) => return Err(Failure::input(format!("{}: {invalid}", path.display()))),
                    Verdict::Finding(_) | Verdict::NotCompared(_) => {
                        found += u64::from(verdict.finding().is_some());
                        eprintln!("realmode: {}: {verdict}", path.display());
                    }
                }
                sum.add(checker.tally());
            }
            Some(sum)
        }
    };
    let mut text = format!("{:<16} {:>7} {:<9}", "rule", "section", "kind");
    if tally.is_some() {
        let _ = write!(text, " {:>9}", "decided");
    }
    text.push_str(" meaning\n");
    for &rule in Rule::ALL {
        let kind = format!("{:?}", rule.kind()).to_lowercase();
        let _ = write!(text, "{:<16} {:>7} {kind:<9}", rule.id(), rule.section());
        if let Some(tally) = &tally {
            let decided = match (rule.is_outcome(), tally.rule(rule).total()) {
                (false, _) => String::new(),
                (true, 0) => "NEVER".into(),
                (true, times) => times.to_string(),
            };
            let _ = write!(text, " {decided:>9}");
        }
        let _ = writeln!(text, " {}", rule.meaning());
    }
    if let Some(tally) = &tally {
        let total = Rule::outcomes().count();
        let _ = writeln!(text, "{} of {total} outcome rules decided by {} programs", tally.reached(), tally.programs);
    }
    print(text)?;
    Ok(if found == 0 { CLEAN } else { FINDING })
}
