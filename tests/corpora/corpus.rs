//! Tests of the programs in `corpora/`. Each program is a test with the name of its file.
//!
//! A program must replay without a finding, parse back from its printed form to itself, and decide every rule that its
//! `# Rules:` line names. `minimized/` holds what fuzzing engines add: hundreds of programs without a story. They are
//! one test, which names the file that fails. The seeds together must decide every outcome rule and name each in a
//! comment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use programs::store;
use realmode_diff::findings::report::{Context, report};
use realmode_diff::{Program, Rule, SubjectKind, Tally, Verdict};

pub(crate) fn tests() -> Vec<Trial> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora");
    let mut tests = Vec::new();
    for folder in ["seeds", "regressions", "dialects"] {
        let files = store::programs_under(&corpora.join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        assert!(!files.is_empty(), "{folder} has no programs");
        for file in files {
            let name = format!("{folder}/{}", file.file_stem().unwrap_or_default().to_string_lossy());
            tests.push(Trial::test(name, move || one(&file)));
        }
    }
    let minimized = store::programs_under(&corpora.join("minimized")).unwrap_or_else(|error| panic!("{error}"));
    assert!(!minimized.is_empty(), "minimized has no programs");
    tests.push(Trial::test(format!("minimized: {} programs", minimized.len()), move || all_of_them(&minimized)));
    let seeds = corpora.join("seeds");
    let folder = seeds.clone();
    tests.push(Trial::test("there are at least 40 seeds", move || at_least_40(&folder)));
    let folder = seeds.clone();
    tests.push(Trial::test("seeds decide every outcome rule", move || every_rule(&folder)));
    tests.push(Trial::test("seeds probe the first split pfn of 56-byte struct pages for each block size", move || {
        first_splits(&seeds)
    }));
    tests
}

fn load(file: &Path) -> Result<(String, Program), Failed> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let program =
        realmode_diff::parse(&text).map_err(|error| error.in_file(&file.display().to_string()).to_string())?;
    Ok((text, program))
}

fn check(program: &Program) -> Result<Tally, Failed> {
    let mut checker = SubjectKind::Candidate.checker();
    match checker.check(program) {
        Verdict::Agreed => Ok(checker.tally().clone()),
        Verdict::Finding(finding) => {
            let context = Context::default();
            Err(format!("\n{}", report(program, &finding, context)).into())
        }
        verdict => Err(verdict.to_string().into()),
    }
}

/// Returns the rules that a file's `# Rules:` lines name.
fn named(text: &str) -> Result<BTreeSet<Rule>, Failed> {
    let mut rules = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# Rules:")) {
        for id in line.split([',', ' ']).map(str::trim).filter(|id| !id.is_empty()) {
            let id = id.trim_end_matches('.');
            rules.insert(Rule::from_id(id).ok_or_else(|| format!("`# Rules:` names {id}, which is no rule"))?);
        }
    }
    Ok(rules)
}

fn one(file: &Path) -> Result<(), Failed> {
    let (text, program) = load(file)?;
    let printed = program.to_string();
    if realmode_diff::parse(&printed).ok() != Some(program.clone()) {
        return Err("the printed form does not parse back to the same program".into());
    }
    let tally = check(&program)?;
    for rule in named(&text)? {
        if tally.rule(rule).total() == 0 {
            return Err(format!("`# Rules:` names {rule}, which is not decided").into());
        }
    }
    Ok(())
}

fn all_of_them(files: &[PathBuf]) -> Result<(), Failed> {
    if files.is_empty() {
        return Err("the folder has no programs".into());
    }
    for file in files {
        one(file).map_err(|failed| format!("{}: {}", file.display(), failed.message().unwrap_or_default()))?;
    }
    Ok(())
}

fn all(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    store::programs_under(folder).map_err(|error| error.to_string().into())
}

fn at_least_40(folder: &Path) -> Result<(), Failed> {
    let files = all(folder)?.len();
    if files < 40 { Err(format!("only {files}").into()) } else { Ok(()) }
}

fn every_rule(folder: &Path) -> Result<(), Failed> {
    let mut missing: BTreeSet<Rule> = Rule::outcomes().collect();
    for file in all(folder)? {
        let (text, _) = load(&file)?;
        let rules = named(&text)?;
        if rules.is_empty() {
            return Err(format!("{} has no `# Rules:` line", file.display()).into());
        }
        for rule in rules {
            missing.remove(&rule);
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(format!("no seed shows {missing:?}").into()) }
}

fn first_splits(folder: &Path) -> Result<(), Failed> {
    // (block shift, first split pfn for S = 56), computed as in docs/semantics.md, section 2.
    let mut missing = BTreeSet::from([(12, 73), (16, 1170), (21, 37449), (24, 299_593)]);
    for file in all(folder)? {
        let (_, program) = load(&file)?;
        let contract::MemoryModel::SparsememVmemmap { block_shift, .. } = program.machine.memory else { continue };
        let outcomes = realmode_diff::findings::report::outcomes(&program);
        for (step, outcome) in program.steps.iter().zip(&outcomes) {
            if let contract::Step::Lookup { pfn } = step
                && program.machine.struct_page == 56
                && outcome.contains("LOOKUP.SPLIT")
            {
                missing.remove(&(block_shift, pfn.0));
            }
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(format!("not probed: (block shift, pfn) {missing:?}").into()) }
}
