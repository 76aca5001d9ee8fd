//! The import graph of each crate's files, and the tests that it has no circle.
//!
//! A file imports the file that defines what a path names, whether the path stands in a `use` or in the code. `pub use`
//! of something below the file is a re-export and no import: a path to a re-exported name leads to the file that
//! defines it. So a `mod.rs` may re-export what its children define, and the children may use what it defines, but it
//! may not use the children itself then. Tests at the end of a file do not count.

use std::collections::{BTreeMap, BTreeSet};

use super::files::root;
use super::walls::{code, sources};

/// The crates whose files must not import each other in a circle.
const CRATES: [&str; 7] = ["contract", "machine", "reference", "candidate", "abi", "programs", "harness"];

/// Modules by their path from the crate's root, such as `check::judge` (the root is empty), each with those it imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_files_import_each_other_in_a_circle() {
    for krate in CRATES {
        let left = circle(&Crate::read(krate).imports());
        assert!(left.is_empty(), "{krate}: these modules import each other in a circle: {left:#?}");
    }
}

/// The top-level modules of a crate are folders with all that lies in them, or single files.
#[test]
fn no_top_level_modules_import_each_other_in_a_circle() {
    for krate in CRATES {
        let left = circle(&top_level(&Crate::read(krate).imports()));
        assert!(left.is_empty(), "{krate}: these modules import each other in a circle: {left:#?}");
    }
}

/// A path of a `use`, as segments, and the name that it brings into scope.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Use {
    path: Vec<String>,
    name: String,
    is_public: bool,
}

/// What one file says about others.
#[derive(Default)]
struct Module {
    uses: Vec<Use>,
    /// Paths of two or more segments in the code.
    paths: Vec<Vec<String>>,
    /// Names of the children that are for tests only.
    tests: Vec<String>,
}

/// The modules of a crate, by their path from its root.
struct Crate(BTreeMap<String, Module>);

impl Crate {
    fn read(krate: &str) -> Self {
        let folder = root().join(krate).join("src");
        let files = sources(&format!("{krate}/src"));
        let modules = files.iter().map(|file| {
            let name = file.strip_prefix(&folder).expect("below the folder").with_extension("");
            let name = name.to_str().expect("a name in UTF-8").replace('/', "::");
            let path = match name.as_str() {
                "lib" => "",
                name => name.strip_suffix("::mod").unwrap_or(name),
            };
            (path.to_string(), Module::of(&code(file)))
        });
        Self(modules.collect())
    }

    /// Returns what each module imports. Leaves out modules that are for tests only.
    fn imports(&self) -> Imports {
        let tests: Vec<String> =
            self.0.iter().flat_map(|(path, module)| module.tests.iter().map(move |name| join(path, name))).collect();
        let is_test = |path: &String| tests.iter().any(|test| path == test || path.starts_with(&format!("{test}::")));
        let imports = self.0.iter().map(|(path, module)| {
            let below = |other: &String| path.is_empty() || other.starts_with(&format!("{path}::"));
            let used = module.uses.iter().filter_map(|used| {
                let to = self.defines(path, &used.path, 0)?;
                (!used.is_public || !below(&to)).then_some(to)
            });
            let named = module.paths.iter().filter_map(|named| self.defines(path, named, 0));
            (path.clone(), used.chain(named).filter(|to| to != path && !is_test(to)).collect())
        });
        imports.filter(|(path, _): &(String, _)| !is_test(path)).collect()
    }

    /// Returns the module that defines what this path in module `from` names, or that the path names itself; `None` if
    /// it leads out of the crate. `depth` counts the `use` lines that were followed.
    fn defines(&self, from: &str, path: &[String], depth: usize) -> Option<String> {
        if depth > 16 {
            return None;
        }
        let (mut at, mut rest) = match path.split_first()? {
            (first, rest) if first == "crate" => (String::new(), rest),
            (first, rest) if first == "self" => (from.to_string(), rest),
            (first, _) if first == "super" => (from.to_string(), path),
            (first, _) if self.0.contains_key(&join(from, first)) => (from.to_string(), path),
            (first, rest) => {
                let used = self.0.get(from)?.uses.iter().find(|used| used.name == *first && used.path != path)?;
                return self.defines(from, &[&used.path, rest].concat(), depth + 1);
            }
        };
        while let Some((next, after)) = rest.split_first() {
            if next == "super" {
                at = at.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_string());
            } else if self.0.contains_key(&join(&at, next)) {
                at = join(&at, next);
            } else if let Some(used) = self.0.get(&at)?.uses.iter().find(|used| used.name == *next) {
                return self.defines(&at, &[&used.path, after].concat(), depth + 1);
            } else {
                break;
            }
            rest = after;
        }
        Some(at)
    }
}

/// The path of a child of a module.
fn join(parent: &str, child: &str) -> String {
    if parent.is_empty() { child.to_string() } else { format!("{parent}::{child}") }
}

impl Module {
    /// Reads the code of a file, which has no comments.
    fn of(code: &str) -> Self {
        let mut module = Self::default();
        for (before, line) in code.lines().zip(code.lines().skip(1)) {
            if before.starts_with("#[cfg(")
                && before.contains("test")
                && let Some((_, name)) = line.strip_suffix(';').and_then(|line| line.split_once("mod "))
            {
                module.tests.push(name.to_string());
            }
        }
        let code = code.split("\nmod tests {").next().unwrap_or_default();
        let mut uses = String::new();
        let mut is_public = false;
        for line in outside_of_inline_modules(code).lines() {
            let begins = line.trim_start();
            let used = begins.split_once("use ").filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
            match used {
                Some((before, rest)) if uses.is_empty() && (before.is_empty() || before.ends_with(' ')) => {
                    is_public = !before.is_empty();
                    uses.push_str(rest);
                }
                _ if !uses.is_empty() => uses.push_str(begins),
                _ => module.paths.extend(paths(line)),
            }
            if uses.ends_with(';') {
                module.uses.extend(tree(&[], uses.trim_end_matches(';'), is_public));
                uses.clear();
            }
        }
        module
    }
}

/// Returns the paths of a `use` whose segments so far are `before`; `text` is what follows them.
fn tree(before: &[String], text: &str, is_public: bool) -> Vec<Use> {
    let text = text.trim();
    if let Some(list) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        return elements(list).into_iter().flat_map(|element| tree(before, element, is_public)).collect();
    }
    let head = word(text);
    let mut path = before.to_vec();
    match text[head.len()..].strip_prefix("::") {
        Some(rest) => {
            path.push(head.to_string());
            tree(&path, rest, is_public)
        }
        None if head.is_empty() => Vec::new(),
        None => {
            if head != "self" || before.is_empty() {
                path.push(head.to_string());
            }
            let name = match text.split_once(" as ") {
                Some((_, name)) => name.trim().to_string(),
                None => path.last().cloned().unwrap_or_default(),
            };
            vec![Use { path, name, is_public }]
        }
    }
}

/// Splits a list at its commas, those of nested lists excepted.
fn elements(list: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&list[from..]);
    found
}

/// Returns the paths of two or more segments in a line of code.
fn paths(line: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':') {
        rest = &rest[start..];
        let mut path = vec![word(rest).to_string()];
        rest = &rest[path[0].len()..];
        while let Some(next) = rest.strip_prefix("::") {
            path.push(word(next).to_string());
            rest = &next[word(next).len()..];
        }
        if path.len() > 1 {
            // A path that begins in the middle, as in `<T as Trait>::f`, has an empty first segment and names nothing.
            found.push(path);
        } else if rest.starts_with(':') {
            rest = &rest[1..];
        }
    }
    found
}

/// Returns the identifier at the start of the text; empty if there is none.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// Returns the code without `super::` in inline modules, because there it means the file itself.
fn outside_of_inline_modules(code: &str) -> String {
    let mut inside = false;
    let mut text = String::new();
    for line in code.lines() {
        if line.contains("mod ") && line.ends_with('{') && !line.starts_with(' ') {
            inside = true;
        }
        let line = if inside { line.replacen("super::", "self::", 1) } else { line.to_string() };
        inside &= !line.starts_with('}');
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The imports of a crate's top-level modules, each with all that lies below it. Leaves out the root, which uses and
/// re-exports them.
fn top_level(imports: &Imports) -> Imports {
    let top = |path: &str| path.split("::").next().unwrap_or_default().to_string();
    let mut sums = Imports::new();
    for (path, needs) in imports.iter().filter(|(path, _)| !path.is_empty()) {
        let needs = needs.iter().map(|need| top(need)).filter(|need| !need.is_empty() && *need != top(path));
        sums.entry(top(path)).or_default().extend(needs);
    }
    sums
}

/// Returns the modules that import themselves by way of others, each with the imports by which it does.
fn circle(imports: &Imports) -> Imports {
    let mut reached = imports.clone();
    loop {
        let before = reached.clone();
        for needs in reached.values_mut() {
            let further = needs.iter().filter_map(|need| before.get(need)).flatten().cloned();
            *needs = further.chain(needs.iter().cloned()).collect();
        }
        if reached == before {
            break;
        }
    }
    let mut circles = imports.clone();
    for (path, needs) in &mut circles {
        needs.retain(|need| reached.get(need).is_some_and(|back| back.contains(path)));
    }
    circles.retain(|_, needs| !needs.is_empty());
    circles
}

/// The imports of a crate with these files, as pairs like `a -> b`.
fn pairs(files: &[(&str, &str)]) -> Vec<String> {
    let modules = files.iter().map(|(path, code)| (path.to_string(), Module::of(code)));
    let imports = Crate(modules.collect()).imports();
    imports.iter().flat_map(|(from, all)| all.iter().map(move |to| format!("{from} -> {to}"))).collect()
}

#[test]
fn an_import_leads_to_the_file_that_defines_the_name() {
    let files = [
        ("", "pub mod a;\npub mod b;\n#[cfg(test)]\nmod only;\npub use a::{Deep, one};\nfn here() {}"),
        ("a", "mod deep;\nmod one;\npub use deep::{Deep, self as low};\npub(crate) use one::one;\nstruct Own;"),
        ("a::deep", "use std::fmt::{self, Display};\nuse super::{\n    Own,\n    one::{two, three},\n};"),
        ("a::one", "fn f() { crate::here(); fmt::format(1); Vec::<u8>::new(); }\nmod x {\n    use super::Y;\n}"),
        (
            "b",
            "use crate::{Deep, a as other};\nfn f(x: other::low::Z) -> super::a::Own { x::y }\n\
             #[cfg(test)]\nmod tests {\n use crate::a::one; }",
        ),
        ("only", "use crate::b::Own;"),
    ];
    assert_eq!(pairs(&files), ["a::deep -> a", "a::deep -> a::one", "a::one -> ", "b -> a", "b -> a::deep"],);
}

#[test]
fn circles_are_seen() {
    let circle_of = |files: &[(&str, &str)]| -> Vec<String> {
        let modules = files.iter().map(|(path, code)| (path.to_string(), Module::of(code)));
        circle(&Crate(modules.collect()).imports()).into_keys().collect()
    };
    // A re-export is no import, but a use is one.
    let parent = "mod judge;\nmod oracle;\npub use judge::rank;\npub struct Own;";
    let judge = "use super::Own;\nfn f() {}";
    assert!(circle_of(&[("check", parent), ("check::judge", judge), ("check::oracle", "use super::rank;")]).is_empty());
    let uses = format!("{parent}\nuse judge::f;");
    assert_eq!(circle_of(&[("check", &uses), ("check::judge", judge)]), ["check", "check::judge"]);
    // Siblings that import each other: by `use`, by a path in the code, and through the re-export of their parent.
    for oracle in ["use super::judge::rank;", "fn f() { super::judge::rank() }", "use crate::check::{other, rank};"] {
        let judge = "use super::oracle::Oracle;";
        let files =
            [("check", parent), ("check::judge", judge), ("check::oracle", oracle), ("top", "use crate::check;")];
        assert_eq!(circle_of(&files), ["check::judge", "check::oracle"], "{oracle}");
    }
    // Folders that import each other through different files.
    let files = [("a::x", "use crate::b::x;"), ("a::y", ""), ("b::x", "use crate::a::y;"), ("a", ""), ("b", "")];
    assert!(circle_of(&files).is_empty());
    let imports = Crate(files.iter().map(|(path, code)| (path.to_string(), Module::of(code))).collect()).imports();
    assert_eq!(circle(&top_level(&imports)).into_keys().collect::<Vec<_>>(), ["a", "b"]);
}
