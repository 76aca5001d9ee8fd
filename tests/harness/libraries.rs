//! Tests of subjects in C: libraries that cannot be used, libraries with mistakes, and the correct example, in this
//! process and isolated.
//!
//! They need `cc`, `make` and `patch`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use programs::encoding::encode;
use programs::focus::Focus;
use programs::sequence::HEADER;
use programs::{inputs, store};
use realmode_diff::findings::record::{Catch, Made, Origin};
use realmode_diff::hunts::engine::{Engine, EngineRun, STRETCH};
use realmode_diff::hunts::pursuit::pursue;
use realmode_diff::voters::Roster;
use realmode_diff::{Program, SubjectKind, parse};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

use super::processes::{children, lives, wait};
use super::shared::{REALMODE, Ran, folder, run};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a build tool, which must succeed.
fn tool(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!(
            "{command:?}: {error}; these tests need a C compiler (`cc`), make and patch: apt-get install gcc make patch"
        )
    });
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Compiles tests/harness/c/small.c with these macros, each of which makes a mistake. Returns the path of the library.
fn small(folder: &TempDir, name: &str, mistakes: &[&str]) -> String {
    let path = folder.path().join(name);
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-shared", "-fPIC", "-fexceptions", "-I"]).arg(root().join("include"));
    cc.args(mistakes.iter().map(|mistake| format!("-D{mistake}")));
    tool(cc.arg(root().join("tests/harness/c/small.c")).arg("-o").arg(&path));
    format!("./{name}")
}

/// Copies examples/c and runs `make` there. Returns the folder with the libraries. `-O1`, because compiling takes most
/// of the time of these tests.
fn example(folder: &TempDir, target: &str) -> PathBuf {
    let copy = folder.path().join("examples/c");
    fs::create_dir_all(copy.join("variants")).expect("a folder");
    fs::create_dir_all(folder.path().join("include")).expect("a folder");
    fs::copy(root().join("include/realmode.h"), folder.path().join("include/realmode.h")).expect("the header");
    for part in ["", "variants"] {
        for entry in fs::read_dir(root().join("examples/c").join(part)).expect("the example") {
            let file = entry.expect("a file").path();
            if file.is_file() {
                fs::copy(&file, copy.join(part).join(file.file_name().expect("a name"))).expect("a copy");
            }
        }
    }
    tool(Command::new("make").args(["CFLAGS=-O1", target]).current_dir(&copy));
    copy.join("build")
}

/// Runs a campaign of a library. Returns its output and its JSON summary. The status must be 0 or 1.
fn campaign(folder: &TempDir, library: &str, args: &[&str]) -> (Ran, Value) {
    let ran = run(folder, &[&["fuzz", "--subject", library, "--json", "sum.json"], args].concat());
    assert!(ran.status < 2, "{library} {args:?}: {}{}", ran.stdout, ran.stderr);
    let json = fs::read_to_string(folder.path().join("sum.json")).expect("a summary");
    (ran, serde_json::from_str(&json).expect("JSON"))
}

/// Runs a campaign that must find nothing. Returns its JSON summary.
fn clean(folder: &TempDir, library: &str, args: &[&str]) -> Value {
    let (ran, json) = campaign(folder, library, args);
    assert_eq!(ran.status, 0, "{library} {args:?}: {}", ran.stdout);
    assert!(ran.stdout.contains("no divergence in ") && !ran.stdout.contains("incident"), "{}", ran.stdout);
    json
}

/// Runs a campaign that must have a finding. Checks that the first finding has all its files and that the program has
/// as many steps as the summary says. Returns the finding and the text of its report.
fn first(folder: &TempDir, library: &str, args: &[&str]) -> (Value, String) {
    let (ran, json) = campaign(folder, library, args);
    assert_eq!(ran.status, 1, "{library} {args:?}: {}", ran.stdout);
    let finding = json["findings"][0].clone();
    let file = folder.path().join(finding["file"].as_str().expect("a file"));
    for kind in ["realmode", "report.txt", "test.rs", "drawn.realmode"] {
        let file = file.with_extension(kind);
        assert!(fs::metadata(&file).is_ok_and(|file| file.len() > 0), "{}", file.display());
    }
    assert_eq!(inputs::read_text(&file).expect("a program").steps.len() as u64, finding["steps"], "{finding}");
    (finding, fs::read_to_string(file.with_extension("report.txt")).expect("a report"))
}

// ---- libraries that cannot be used ----------------------------------------------------------------------------------

#[test]
fn what_cannot_be_used_says_so_in_a_line() {
    let here = folder();
    let plain = fs::read(here.path().join(small(&here, "plain.so", &[]))).expect("a library");
    // Byte 4 of the ELF header is the class; 1 means 32 bits.
    let mut narrow = plain.clone();
    narrow[4] = 1;
    fs::write(here.path().join("narrow.so"), narrow).expect("a file");
    // Writes the 16 bits at offset 18 (machine) or 16 (file type) of the ELF header.
    let changed = |at: usize, value: u16| {
        let mut changed = plain.clone();
        changed[at..at + 2].copy_from_slice(&value.to_le_bytes());
        changed
    };
    fs::write(here.path().join("alien.so"), changed(18, 0x1234)).expect("a file");
    fs::write(here.path().join("object.so"), changed(16, 1)).expect("a file");
    // Libraries cut off in the middle, in the header and before its end; a text, an empty file and a folder.
    fs::write(here.path().join("cut.so"), &plain[..plain.len() / 2]).expect("a file");
    fs::write(here.path().join("head.so"), &plain[..40]).expect("a file");
    fs::write(here.path().join("magic.so"), &plain[..10]).expect("a file");
    fs::write(here.path().join("text.so"), "int main(void) { return 0; }\n").expect("a file");
    fs::write(here.path().join("empty.so"), "").expect("a file");
    fs::create_dir(here.path().join("folder.so")).expect("a folder");
    small(&here, "nameless.so", &["NO_SYMBOL"]);
    small(&here, "long.so", &[&format!("NAME=\"\\n{}\"", "n".repeat(4095))]);
    small(&here, "old.so", &["ABI=9"]);
    small(&here, "refuses.so", &["NO_START"]);
    small(&here, "unset.so", &["UNSET"]);
    let cases = [
        ("./missing.so", "No such file"),
        ("./cut.so", "a part of a library, expected a whole one"),
        ("./head.so", "a part of a library, expected a whole one"),
        ("./magic.so", "no ELF file, expected a shared library"),
        ("./alien.so", "made for ELF machine 4660, expected "),
        ("./object.so", "an ELF file of type 1, expected a shared library (type 3)"),
        ("./text.so", "no ELF file, expected a shared library"),
        ("./empty.so", "no ELF file, expected a shared library"),
        ("./folder.so", "directory"),
        ("./narrow.so", "a 32-bit library, expected one of 64 bits"),
        ("./nameless.so", "exports no `realmode_implementation`"),
        ("./long.so", &format!("its name is '?{}... (4096 bytes)', expected up to 64 letters, ", "n".repeat(63))),
        ("./old.so", "made for version 9 of realmode.h, expected version 1"),
        ("./refuses.so", "start answered 7, expected 0"),
        ("./unset.so", "start left coverage.memory_models = 0xa5a5a5a5, as it was before"),
    ];
    for (library, says) in cases {
        for isolate in [&[][..], &["--isolate"]] {
            let ran = run(&here, &[&["fuzz", "--subject", library], isolate].concat());
            assert_eq!((ran.status, ran.stdout.as_str()), (3, ""), "{library} {isolate:?}: {}", ran.stderr);
            assert_eq!(ran.stderr.lines().count(), 1, "{library} {isolate:?}: {}", ran.stderr);
            assert!(ran.stderr.starts_with(&format!("realmode: {library}: ")), "{isolate:?}: {}", ran.stderr);
            assert!(ran.stderr.contains(says), "{library} {isolate:?}: {says:?} is not told in {}", ran.stderr);
        }
    }
    assert!(!here.path().join("findings").exists());
}

// ---- isolated libraries ---------------------------------------------------------------------------------------------

/// A library that ends its process, or hangs, is a finding at its step, and the campaign goes on to its last program.
#[test]
fn an_isolated_library_may_do_its_worst() {
    let cases: [(&[&str], &[&str], &str, &str); 11] = [
        (&["ABORT"], &[], "SUBJECT.CRASH", "ended by signal 6 (abort)"),
        (&["EXIT"], &[], "SUBJECT.CRASH", "ended with status 0"),
        (&["CRASH"], &[], "SUBJECT.CRASH", "ended by signal 11 (segmentation fault)"),
        (&["LOOP"], &["--isolate-limit", "200ms"], "SUBJECT.HANG", "made no progress within "),
        // The library writes the beginning of a frame and then hangs.
        (&["BABBLE=\"\\20\"", "LOOP"], &["--isolate-limit", "200ms"], "SUBJECT.HANG", "made no progress within "),
        (&["BABBLE=\"0123456789abcdef\""], &[], "SUBJECT.PROTOCOL", "answered a frame with an impossible length"),
        (
            &["BABBLE=\"\\20\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\0\""],
            &[],
            "SUBJECT.PROTOCOL",
            "a frame with a wrong checksum",
        ),
        (&["EAT"], &["--isolate-memory", "64"], "SUBJECT.CRASH", "ended by signal 6 (abort), last seen with "),
        (&["STRAY", "DIRECT"], &[], "SUBJECT.CRASH", "ended by signal 11 (segmentation fault)"),
        (&["SILENT"], &[], "SUBJECT.PROTOCOL", "get_tce answered RM_H_SUCCESS and left *tce as it was"),
        (&["SPIN"], &[], "RM.BOUNDED", "accesses of a real-mode call of 1 entries"),
    ];
    for (mistakes, options, rule, says) in cases {
        let here = folder();
        let library = small(&here, "bad.so", mistakes);
        let args = ["--isolate", "--programs", "40", "--seed", "1", "--jobs", "2", "--max-findings", "2"];
        let (finding, report) = first(&here, &library, &[&args[..], options].concat());
        assert_eq!(finding["rule"], rule, "{mistakes:?}: {report}");
        assert_eq!(finding["step_kind"], "H_GET_TCE", "{mistakes:?}: {report}");
        assert_eq!((&finding["steps"], &finding["minimal"]), (&1.into(), &true.into()), "{mistakes:?}: {report}");
        assert!(report.contains(says), "{mistakes:?}: {says:?} is not told in {report}");
        let json = fs::read_to_string(here.path().join("sum.json")).expect("a summary");
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["programs"], 40, "{mistakes:?}: it went on");
        assert!(json["failing"].as_u64() > Some(1), "{mistakes:?}: {json}");
        assert_eq!(json["findings"].as_array().map(Vec::len), Some(1), "{mistakes:?}: the same again is not another");
        // A replay in another process shows the same.
        let file = finding["file"].as_str().expect("a file");
        let again = run(&here, &[&["replay", "--subject", &library, "--isolate", file], options].concat());
        assert_eq!(again.status, 1, "{mistakes:?}: {}{}", again.stdout, again.stderr);
        assert!(again.stdout.contains(rule), "{mistakes:?}: {}", again.stdout);
    }
}

/// An isolated library cannot write files, whether it checks for errors or not.
#[test]
fn an_isolated_library_writes_no_file() {
    let here = folder();
    let target = here.path().join("written");
    let library = small(&here, "writes.so", &[&format!("FILE_OUT=\"{}\"", target.display())]);
    let args = ["--programs", "40", "--seed", "1", "--jobs", "1"];
    clean(&here, &library, &[&args[..], &["--isolate"]].concat());
    assert!(!target.exists());
    // In this process it can.
    clean(&here, &library, &args);
    assert!(target.exists());
}

/// The time limit is one for a program and not for a batch: here a batch takes longer than the limit of 1 s.
#[test]
fn a_slow_library_is_not_taken_for_a_hanging_one() {
    let here = folder();
    let library = small(&here, "slow.so", &["SLOW=25000"]);
    let args = ["--isolate", "--dialect", "lopapr", "--programs", "128", "--seed", "1", "--jobs", "1"];
    assert!(clean(&here, &library, &args)["seconds"].as_f64() > Some(2.0));
}

/// A state of an exhaustive run holds for one build of a library. With another build under the same path and name it is
/// refused.
#[test]
fn a_state_of_another_build_of_a_library_is_refused() {
    let here = folder();
    for (state, isolate) in [("s", &[][..]), ("t", &["--isolate"])] {
        let args = ["exhaust", "--sections", "1", "--steps", "1", "--subject", "./mine.so", "--state", state];
        let args = [&args[..], isolate].concat();
        small(&here, "mine.so", &[]);
        for _ in 0..2 {
            assert_eq!(run(&here, &args).status, 0, "{args:?}");
        }
        small(&here, "mine.so", &["DIRECT"]);
        let ran = run(&here, &args);
        assert_eq!(ran.status, 2, "{args:?}: {}", ran.stdout);
        assert!(ran.stderr.contains("(build: ") && ran.stderr.contains("--restart"), "{args:?}: {}", ran.stderr);
    }
}

/// A library that covers nothing of the domain compares nothing, whether it runs here or isolated, and also if the
/// state has everything already. A library that covers a part says how many steps it was not asked.
#[test]
fn an_exhaustive_run_says_what_was_not_compared() {
    let here = folder();
    let library = small(&here, "part.so", &[]);
    for isolate in [&[][..], &["--isolate"]] {
        let args = ["exhaust", "--sections", "1", "--steps", "1", "--memory-model", "flatmem", "--json", "sum.json"];
        let args = [&args[..], &["--subject", &library, "--dialect"], isolate].concat();
        let exhaust = |dialect| {
            let at = args.iter().position(|arg| *arg == "--dialect").expect("an option") + 1;
            let ran = run(&here, &[&args[..at], &[dialect], &args[at..]].concat());
            let json: Value =
                serde_json::from_slice(&fs::read(here.path().join("sum.json")).expect("a summary")).expect("JSON");
            (ran, json)
        };
        for _ in 0..2 {
            let (ran, json) = exhaust("kvm");
            assert_eq!((ran.status, &json["verdict"]), (3, &"not compared".into()), "{isolate:?}: {}", ran.stdout);
            assert!(ran.stdout.contains("\nnothing was compared in "), "{isolate:?}: {}", ran.stdout);
            let why = "nothing was compared: small: ";
            assert!(ran.stderr.contains(why) && ran.stderr.contains("kvm"), "{isolate:?}: {}", ran.stderr);
        }
        let (ran, json) = exhaust("lopapr");
        assert_eq!((ran.status, &json["verdict"]), (0, &"agreed".into()), "{isolate:?}: {}", ran.stdout);
        let voter = &json["voters"][0];
        assert_eq!(
            voter["programs"],
            json["run"].as_u64().expect("a number") + json["equal"].as_u64().expect("a number")
        );
        assert!(voter["not_asked"].as_u64() > Some(0) && voter["uncovered"].as_u64() > Some(0), "{isolate:?}: {voter}");
        assert!(ran.stdout.contains(" steps not asked)"), "{isolate:?}: {}", ran.stdout);
    }
}

/// A finding that needs earlier programs is in the state of an exhaustive run, so the run is told again as it was.
#[test]
fn an_exhaustive_run_with_a_finding_of_a_warm_subject_is_told_again() {
    let here = folder();
    let library = small(&here, "remembers.so", &["REMEMBER"]);
    let args = ["exhaust", "--sections", "1", "--steps", "2", "--memory-model", "flatmem", "--jobs", "1"];
    let args = [&args[..], &["--subject", &library]].concat();
    let findings = |ran: &Ran| ran.stdout.matches("\nFINDING ").count();
    let (first, again) = (run(&here, &args), run(&here, &args));
    assert_eq!((first.status, again.status), (1, 1), "{}\n{}", first.stdout, again.stderr);
    assert!(first.stdout.contains("sequence") && findings(&first) > 0, "{}", first.stdout);
    assert_eq!(findings(&first), findings(&again), "{}", again.stdout);
    assert!(again.stdout.contains(" of them were accounted for before, by "), "{}", again.stdout);
}

/// A ledger names voters, so a library cannot have the name of another voter.
#[test]
fn a_library_with_the_name_of_another_voter_is_refused() {
    let here = folder();
    let library = small(&here, "named.so", &["NAME=\"qemu\""]);
    for isolate in [&[][..], &["--isolate"]] {
        let ran = run(&here, &[&["fuzz", "--programs", "1", "--subject", &library], isolate].concat());
        assert_eq!(ran.status, 3, "{}", ran.stderr);
        assert!(ran.stderr.contains("its name `qemu` is that of another voter"), "{}", ran.stderr);
    }
}

/// The children of a process that run isolated subjects.
fn isolated(parent: u32) -> Vec<u32> {
    let is_one =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("\0isolated\0"));
    children(parent).into_iter().filter(is_one).collect()
}

/// Starts a campaign with two jobs. Returns it with the pids of its two isolated subjects.
fn runs(folder: &TempDir, library: &str) -> (Child, Vec<u32>) {
    let child = Command::new(REALMODE)
        .args(["fuzz", "--isolate", "--isolate-limit", "50s", "--subject", library])
        .args(["--time", "60s", "--seed", "1", "--jobs", "2", "--max-findings", "9"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a campaign");
    // The command first starts short-lived processes to examine the library.
    std::thread::sleep(Duration::from_millis(400));
    let children = wait("two processes", Duration::from_secs(20), || {
        Some(isolated(child.id())).filter(|children| children.len() == 2)
    });
    (child, children)
}

/// No process and no file is left when a campaign ends, whether the subject works or hangs at that moment.
#[test]
fn nothing_is_left_behind() {
    for (mistakes, signal, status) in
        [(&[][..], Signal::INT, 0), (&[], Signal::KILL, -1), (&["LOOP"], Signal::KILL, -1)]
    {
        let here = folder();
        let library = small(&here, "mine.so", mistakes);
        let (child, children) = runs(&here, &library);
        rustix::process::kill_process(Pid::from_child(&child), signal).expect("a process");
        let output = child.wait_with_output().expect("an end");
        for pid in children {
            wait("the end of a process", Duration::from_secs(2), || (!lives(pid)).then_some(()));
        }
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.code().unwrap_or(-1), status, "{mistakes:?} {signal:?}: {text}");
        if status == 0 {
            assert!(text.contains("no divergence in ") && text.contains("\ntime: "), "{text}");
            assert!(!text.contains("incident"), "{text}");
        }
        let left: BTreeSet<_> =
            fs::read_dir(&here).expect("the folder").map(|entry| entry.expect("an entry").file_name()).collect();
        assert_eq!(left, BTreeSet::from(["mine.so".into()]), "{mistakes:?} {signal:?}");
    }
}

// ---- libraries in this process --------------------------------------------------------------------------------------

const FORTY: [&str; 6] = ["--programs", "40", "--seed", "1", "--jobs", "1"];

/// Runs the command with a library that ends its process. Returns the command's exit status and its one line on
/// standard error.
fn ended(folder: &TempDir, args: &[&str]) -> (ExitStatus, String) {
    let mut command = Command::new(REALMODE);
    let output = command.args(args).current_dir(folder).stdin(Stdio::null()).output().expect("a run");
    let said = String::from_utf8(output.stderr).expect("text");
    let mut lines = said.lines().filter(|line| line.starts_with("realmode: "));
    let line = lines.next().unwrap_or_else(|| panic!("nothing is told: {said}")).to_string();
    assert_eq!(lines.next(), None, "{said}");
    (output.status, line)
}

/// If a library ends the process in which it runs, the command names the library, the program and the command that
/// shows the finding, and then ends by the same signal.
#[test]
fn what_ends_the_process_is_told() {
    let cases: [(&[&str], Option<i32>, &str); 8] = [
        (&["CRASH"], Some(Signal::SEGV.as_raw()), " (segmentation fault)"),
        (&["STRAY", "DIRECT"], Some(Signal::SEGV.as_raw()), " (segmentation fault)"),
        (&["ABORT"], Some(Signal::ABORT.as_raw()), " (abort)"),
        (&["RAISE=SIGBUS"], Some(Signal::BUS.as_raw()), " (bus error)"),
        (&["RAISE=SIGFPE"], Some(Signal::FPE.as_raw()), " (arithmetic)"),
        (&["RAISE=SIGILL"], Some(Signal::ILL.as_raw()), " (illegal instruction)"),
        // This is how the kernel ends a process when memory runs out.
        (&["RAISE=SIGKILL"], Some(Signal::KILL.as_raw()), " (kill)"),
        (&["EXIT"], None, "ended with status 0"),
    ];
    for (mistakes, signal, how) in cases {
        let here = folder();
        let library = small(&here, "bad.so", mistakes);
        let (status, line) =
            ended(&here, &[&["fuzz", "--subject", &library, "--out", "kept/here"], &FORTY[..]].concat());
        assert_eq!(status.signal(), signal, "{mistakes:?}: {line}");
        // An `exit` with status 0 must not look like a run that found nothing.
        assert_eq!(status.code(), signal.is_none().then_some(1), "{mistakes:?}: {line}");
        assert!(line.starts_with(&format!("realmode: {library}: the process ended ")) && line.contains(how), "{line}");

        // The command kept the program, and it is a finding if the library is isolated.
        let kept = store::programs_under(&here.path().join("kept/here")).expect("a folder");
        let [file] = &kept[..] else { panic!("{mistakes:?}: {kept:?}") };
        inputs::read_text(file).expect("a program");
        let file = file.strip_prefix(here.path()).expect("below it").to_str().expect("a path");
        let replay = format!("realmode replay --isolate --subject {library} {file}");
        assert!(line.contains(&format!(" ran {file}; ")) && line.ends_with(&replay), "{line}");
        let args: Vec<&str> = replay.split(' ').skip(1).collect();
        let again = run(&here, &args);
        assert_eq!(again.status, 1, "{mistakes:?}: {}{}", again.stdout, again.stderr);
        assert!(again.stdout.contains("SUBJECT.CRASH"), "{mistakes:?}: {}", again.stdout);

        // A program that comes from a file is not written again.
        let names = || fs::read_dir(&here).expect("the folder").map(|entry| entry.expect("an entry").file_name());
        let before: BTreeSet<_> = names().collect();
        for command in ["replay", "show", "shrink"] {
            let (status, line) = ended(&here, &[command, "--subject", &library, file]);
            assert_eq!(status.signal(), signal, "{command} {mistakes:?}: {line}");
            assert!(line.contains(how), "{command}: {line}");
            if command != "shrink" {
                assert!(line.contains(&format!(" ran {file}; ")), "{command}: {line}");
            }
            let new: Vec<_> = names().filter(|name| !before.contains(name)).collect();
            assert!(new.is_empty(), "{command} {mistakes:?}: {new:?}");
        }
    }
}

/// A shell runs the command that is suggested, whatever the paths are called.
#[test]
fn the_suggested_command_can_be_pasted() {
    let here = folder();
    let library = small(&here, "it's bad.so", &["ABORT"]);
    let (_, line) =
        ended(&here, &[&["fuzz", "--subject", &library, "--out", "kept $here; \"so\""], &FORTY[..]].concat());
    let (_, suggested) = line.rsplit_once("a finding: realmode ").expect("a suggested command");
    let script = format!("\"$REALMODE\" {suggested}");
    let output = Command::new("sh").args(["-c", &script]).env("REALMODE", REALMODE).current_dir(&here).output();
    let output = output.expect("a shell");
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{suggested}: {out}{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("SUBJECT.CRASH"), "{suggested}: {out}");
}

/// With several threads, only the program that ends a process is kept.
#[test]
fn of_several_programs_the_one_that_crashes_is_told() {
    let here = folder();
    let library = small(&here, "bad.so", &["CRASH"]);
    let args = ["fuzz", "--subject", &library, "--programs", "400", "--seed", "1", "--jobs", "4"];
    let mut command = Command::new(REALMODE);
    let output = command.args(args).current_dir(&here).stdin(Stdio::null()).output().expect("a run");
    assert_eq!(output.status.signal(), Some(Signal::SEGV.as_raw()));
    let kept = store::programs_under(&here.path().join("findings")).expect("a folder");
    assert!(!kept.is_empty());
    for file in kept {
        let file = file.to_str().expect("a path");
        let again = run(&here, &["replay", "--isolate", "--subject", &library, file]);
        assert!(again.stdout.contains("SUBJECT.CRASH"), "{}{}", again.stdout, again.stderr);
    }
}

#[test]
fn a_crash_while_it_is_loaded_is_told() {
    let here = folder();
    let library = small(&here, "bad.so", &["CRASH_LOADED"]);
    let (status, line) = ended(&here, &["fuzz", "--subject", &library]);
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
    let says = format!("realmode: {library}: the process ended by signal 6 (abort) before the library ran a program");
    assert!(line.starts_with(&says), "{line}");
    assert!(!here.path().join("findings").exists());
}

/// A signal to a campaign in a watched process works as if there were one process, and no process is left.
#[test]
fn a_watched_campaign_ends_as_its_watcher_is_told() {
    let here = folder();
    let library = small(&here, "good.so", &[]);
    for (signal, whole_group) in
        [(Signal::INT, false), (Signal::INT, true), (Signal::TERM, false), (Signal::KILL, false)]
    {
        let child = Command::new(REALMODE)
            .args(["fuzz", "--subject", &library, "--time", "60s", "--seed", "1", "--jobs", "1"])
            .current_dir(&here)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a campaign");
        let pid = Pid::from_child(&child);
        let watched = wait("a second process", Duration::from_secs(20), || {
            children(child.id()).first().copied().filter(|pid| {
                fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.contains("realmode-subject"))
            })
        });
        // The command sets its signal handler after it has examined the library.
        std::thread::sleep(Duration::from_millis(500));
        if whole_group {
            rustix::process::kill_process_group(pid, signal).expect("a group");
        } else {
            rustix::process::kill_process(pid, signal).expect("a process");
        }
        let output = child.wait_with_output().expect("an end");
        wait("the end of a process", Duration::from_secs(2), || (!lives(watched)).then_some(()));
        let text = String::from_utf8(output.stdout).expect("text");
        let said = String::from_utf8(output.stderr).expect("text");
        if signal == Signal::INT {
            assert_eq!(output.status.code(), Some(0), "{text}{said}");
            assert!(text.contains("no divergence in "), "{text}");
        } else {
            assert_eq!(output.status.signal(), Some(signal.as_raw()), "{text}{said}");
        }
        assert!(!said.contains("realmode: "), "{said}");
    }
    assert!(!here.path().join("findings").exists());
}

/// `REALMODE_WATCHED=no` runs the library in the command's own process, as a debugger needs it.
#[test]
fn a_process_that_is_not_to_be_watched_is_not() {
    let here = folder();
    let library = small(&here, "bad.so", &["CRASH"]);
    let output = Command::new(REALMODE)
        .args(["fuzz", "--subject", &library])
        .args(FORTY)
        .env("REALMODE_WATCHED", "no")
        .current_dir(&here)
        .stdin(Stdio::null())
        .output()
        .expect("a run");
    assert_eq!(output.status.signal(), Some(Signal::SEGV.as_raw()));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_handler_without_end_is_left_by_unwinding() {
    let here = folder();
    let library = small(&here, "spins.so", &["SPIN"]);
    let (finding, report) = first(&here, &library, &FORTY);
    assert_eq!((&finding["rule"], &finding["steps"]), (&"RM.BOUNDED".into(), &1.into()), "{report}");
    assert_eq!(finding["step_kind"], "H_GET_TCE");
}

#[test]
fn an_output_that_was_not_written_is_told() {
    let here = folder();
    let library = small(&here, "silent.so", &["SILENT"]);
    let (finding, report) = first(&here, &library, &FORTY);
    assert_eq!((&finding["rule"], &finding["steps"]), (&"SUBJECT.PROTOCOL".into(), &1.into()), "{report}");
    assert!(report.contains("left *tce as it was"), "{report}");
}

#[test]
fn a_report_has_what_the_library_logged() {
    let here = folder();
    let library = small(&here, "logs.so", &["LOG"]);
    for isolate in [&[][..], &["--isolate"]] {
        let (finding, report) = first(&here, &library, &[&FORTY[..], isolate].concat());
        assert_eq!((&finding["rule"], &finding["steps"]), (&"DIVERGE.TCE".into(), &1.into()), "{report}");
        assert!(report.contains("looked at an entry"), "{isolate:?}: {report}");
    }
    // A program may log as much as it likes. What the report leaves out it says.
    let library = small(&here, "chatty.so", &["CHATTY"]);
    for isolate in [&[][..], &["--isolate"]] {
        let (_, report) = first(&here, &library, &[&FORTY[..], isolate].concat());
        assert!(report.contains("\nlog        ... (4 earlier lines)\n"), "{isolate:?}: {report}");
        assert_eq!(report.matches(&format!(" {}... (4096 bytes)\n", "z".repeat(200))).count(), 16, "{report}");
    }
}

#[test]
fn mapped_memory_is_watched() {
    let here = folder();
    let args = ["--programs", "200", "--seed", "1", "--jobs", "1"];
    let json = clean(&here, &small(&here, "maps.so", &["DIRECT"]), &args);
    assert!(json["accepted"].as_u64() > Some(0), "{json}");
    let (finding, report) = first(&here, &small(&here, "scribbles.so", &["DIRECT", "SCRIBBLE"]), &args);
    // The handler reads back what it stored wrongly, so r4 differs first. The stored entry would be the next
    // difference.
    assert_eq!((&finding["rule"], &finding["steps"]), (&"DIVERGE.R4".into(), &1.into()), "{report}");
    assert!(report.contains("found      0x5a5a5a5a5a5a5a5a"), "{report}");
}

/// Memory is mapped at each `start`, also at the one that finds out whether the library starts.
#[test]
fn a_library_may_read_memory_when_it_starts() {
    let here = folder();
    let library = small(&here, "reads.so", &["DIRECT", "READ_AT_START"]);
    for isolate in [&[][..], &["--isolate"]] {
        let json = clean(&here, &library, &[&FORTY[..], isolate].concat());
        assert_eq!(json["programs"], 40, "{isolate:?}: {json}");
    }
}

/// Steps outside the coverage of a library are not sent to it and are counted as not asked.
#[test]
fn what_is_not_covered_is_counted() {
    let here = folder();
    let library = small(&here, "small.so", &[]);
    let mut sums = Vec::new();
    for isolate in [&[][..], &["--isolate"]] {
        let args = ["--programs", "300", "--seed", "1", "--jobs", "1"];
        let (ran, json) = campaign(&here, &library, &[&args[..], isolate].concat());
        assert_eq!(ran.status, 0, "{}", ran.stdout);
        let voter = &json["voters"][0];
        let (uncovered, not_asked) = (&voter["uncovered"], &json["not_asked"]);
        let nothing = 300 - voter["compared"].as_u64().expect("a number");
        // The library covers one dialect of three, and few kinds of steps.
        assert!(uncovered.as_u64() > Some(250) && (50..250).contains(&nothing), "{json}");
        assert!(not_asked.as_u64() > Some(100), "{json}");
        let says = format!("\nnot compared: something of {uncovered} programs, all of {nothing}; the first: ");
        assert!(ran.stdout.contains(&says), "{says} is not in {}", ran.stdout);
        assert_eq!(voter["not_asked"], *not_asked, "{json}");
        let says = format!("\n{not_asked} steps not asked\n");
        assert!(ran.stdout.contains(&says), "{says} is not in {}", ran.stdout);
        sums.push((uncovered.clone(), not_asked.clone(), json["hypercalls"].clone()));
    }
    assert_eq!(sums[0], sums[1], "a process of its own changes no count");
    // In its own dialect nearly every program has a step that the library covers.
    let json = clean(&here, &library, &["--programs", "100", "--seed", "1", "--dialect", "lopapr"]);
    assert!(json["voters"][0]["compared"].as_u64() > Some(80), "{json}");
    assert!(json["accepted"].as_u64() > Some(0), "{json}");
}

// ---- the whole implementation ---------------------------------------------------------------------------------------

#[test]
fn the_example_is_right() {
    let here = folder();
    let library = example(&here, "build/libtce.so").join("libtce.so");
    let library = library.to_str().expect("a path");
    // Seed 5 would show it if two instances in one process shared a variable.
    let one = clean(&here, library, &["--programs", "1500", "--seed", "5", "--jobs", "1"]);
    let two = clean(&here, library, &["--programs", "1500", "--seed", "5", "--jobs", "2"]);
    let apart = clean(
        &here,
        library,
        &["--programs", "1500", "--seed", "5", "--jobs", "2", "--isolate", "--isolate-limit", "20s"],
    );
    for count in ["programs", "steps", "skipped", "hypercalls", "accepted", "deferred", "rules"] {
        assert_eq!(one[count], two[count], "{count}");
        assert_eq!(one[count], apart[count], "{count}");
    }
    assert_eq!((&one["not_asked"], &one["voters"][0]["uncovered"]), (&0.into(), &0.into()), "it covers everything");

    let args = ["exhaust", "--sections", "1", "--steps", "1", "--subject", library, "--out", "all"];
    let ran = run(&here, &args);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);

    // Two subjects vote on each program.
    let args = ["--programs", "300", "--seed", "2", "--subject", "candidate"];
    let both = clean(&here, library, &args);
    let names: Vec<&Value> = both["voters"].as_array().expect("voters").iter().map(|voter| &voter["name"]).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.contains(&&"candidate".into()), "{names:?}");
    for voter in both["voters"].as_array().expect("voters") {
        assert_eq!((&voter["programs"], &voter["uncovered"]), (&300.into(), &0.into()), "{voter}");
    }
}

/// The line `Rule:` of each variant's patch names the rules that may show it.
#[test]
fn each_variant_of_the_example_is_found() {
    let here = folder();
    let build = example(&here, "variants");
    let mut variants = 0;
    for entry in fs::read_dir(root().join("examples/c/variants")).expect("the variants") {
        let patch = entry.expect("a patch").path();
        let text = fs::read_to_string(&patch).expect("a text");
        let header = text.split("\n\n").next().expect("a header");
        let rules = header.split_once("\nRule: ").expect("the rules").1;
        let name = patch.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let library = build.join(format!("{name}.so"));
        let args = ["--programs", "2000", "--seed", "1", "--jobs", "2", "--out", name];
        let (finding, report) = first(&here, library.to_str().expect("a path"), &args);
        let rule = finding["rule"].as_str().expect("a rule");
        let family = format!("{}.*", rule.split('.').next().expect("a family"));
        assert!(rules.contains(rule) || rules.contains(&family), "{name}: {rule}, expected {rules}\n{report}");
        assert!(finding["steps"].as_u64() < Some(5) && finding["minimal"] == true, "{name}: {finding}");
        let file = here.path().join(finding["file"].as_str().expect("a file"));
        let test = fs::read_to_string(file.with_extension("test.rs")).expect("a test");
        assert!(test.contains("#[test]"), "{name}: {test}");
        variants += 1;
    }
    assert_eq!(variants, 5);
}

// ---- coverage and sequences -----------------------------------------------------------------------------------------

/// A program of one emulated window, which the small library covers in dialect lopapr.
const READS: &str = "realmode-program 1
dialect lopapr
machine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=32
window 0x1 page_shift=12 base=0x0 entries=4 emulated table=0x9000000
steps
cpu0 H_GET_TCE liobn=0x1 ioba=0x0
";

/// The program [`READS`] without its read.
fn idle() -> String {
    READS.split_inclusive('\n').filter(|line| !line.starts_with("cpu0")).collect()
}

fn write(folder: &TempDir, name: &str, text: &str) {
    fs::write(folder.path().join(name), text).expect("a file");
}

#[test]
fn what_was_not_compared_is_never_said_to_agree() {
    let here = folder();
    let library = small(&here, "small.so", &[]);
    write(&here, "kvm.realmode", &READS.replace("lopapr", "kvm"));
    write(
        &here,
        "put.realmode",
        &READS.replace("H_GET_TCE liobn=0x1 ioba=0x0", "H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x0"),
    );
    let both = READS.to_string() + "cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x0\n";
    write(&here, "both.realmode", &both);
    // The library covers nothing of these programs: every command gives the reason and status 3.
    for (file, why) in
        [("kvm.realmode", "it does not cover dialect kvm"), ("put.realmode", "it does not cover this step")]
    {
        for command in ["show", "replay", "triage", "shrink"] {
            let ran = run(&here, &[command, "--subject", &library, file]);
            let said = ran.stdout.clone() + &ran.stderr;
            assert_eq!(ran.status, 3, "{command} {file}: {said}");
            assert!(said.contains("not compared") && said.contains(why), "{command} {file}: {said}");
            assert!(!said.contains("agreed to the end") && !said.contains(": agreed"), "{command} {file}: {said}");
        }
        let ran = run(&here, &["corpus", "stats", "--subject", &library, file]);
        assert_eq!(ran.status, 3, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("nothing was compared"), "{}", ran.stderr);
    }
    // The library covers a part of this program: status 0, and the output says what was not compared.
    for command in ["show", "replay", "triage"] {
        let ran = run(&here, &[command, "--subject", &library, "both.realmode"]);
        assert_eq!(ran.status, 0, "{command}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("compared but for 1 step from step 2 on"), "{command}: {}", ran.stdout);
    }
    let ran =
        run(&here, &["replay", "--subject", &library, "--json", "replayed.json", "both.realmode", "put.realmode"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let json = fs::read_to_string(here.path().join("replayed.json")).expect("a summary");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    for (file, compared) in [(0, true), (1, false)] {
        let file = &json["files"][file];
        assert_eq!((&file["not_asked"], &file["compared"]), (&1.into(), &compared.into()), "{json}");
    }
    // A campaign of which nothing is compared: the dialect is one that the library does not cover.
    let campaign = ["fuzz", "--subject", &library, "--dialect", "kvm", "--programs", "200", "--json", "sum.json"];
    let ran = run(&here, &campaign);
    assert_eq!(ran.status, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("nothing was compared: small: ") && !ran.stdout.contains("no divergence"),
        "{}",
        ran.stdout
    );
    let json = fs::read_to_string(here.path().join("sum.json")).expect("a summary");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["verdict"], &json["voters"][0]["compared"]), (&"not compared".into(), &0.into()), "{json}");
}

#[test]
fn each_file_of_a_replay_has_a_fresh_subject_unless_a_sequence_is_asked_for() {
    let here = folder();
    let library = small(&here, "remember.so", &["REMEMBER"]);
    write(&here, "a.realmode", READS);
    write(&here, "b.realmode", READS);
    let alone = run(&here, &["replay", "--subject", &library, "a.realmode", "b.realmode"]);
    assert_eq!(alone.status, 0, "{}{}", alone.stdout, alone.stderr);
    assert!(alone.stdout.ends_with("2 agreed, 0 with a finding\n"), "{}", alone.stdout);
    let isolated = run(&here, &["replay", "--isolate", "--subject", &library, "a.realmode", "b.realmode"]);
    assert_eq!(isolated.status, 0, "{}{}", isolated.stdout, isolated.stderr);
    for isolate in [&[][..], &["--isolate"]] {
        let args = [&["replay", "--sequence", "--subject", &library, "a.realmode", "b.realmode"][..], isolate].concat();
        let together = run(&here, &args);
        assert_eq!(together.status, 1, "{}{}", together.stdout, together.stderr);
        assert!(together.stdout.contains("b.realmode (program 2 of 2): FINDING\n"), "{}", together.stdout);
    }
}

#[test]
fn a_finding_that_needs_an_earlier_program_is_recorded_as_a_sequence() {
    let here = folder();
    let library = small(&here, "remember.so", &["REMEMBER"]);
    for isolate in [&[][..], &["--isolate"]] {
        let args =
            [&["--programs", "2000", "--seed", "5", "--dialect", "lopapr", "--out", "out"][..], isolate].concat();
        let (ran, json) = campaign(&here, &library, &args);
        assert_eq!(ran.status, 1, "{}", ran.stdout);
        let finding = &json["findings"][0];
        assert_eq!((&finding["repeats"], &finding["sequence"]), (&false.into(), &2.into()), "{finding}");
        let file = finding["file"].as_str().expect("a file");
        let text = fs::read_to_string(here.path().join(file)).expect("a sequence");
        assert_eq!(text.matches("realmode-program 1").count(), 2, "{text}");
        // Both programs are shrunk to the one read that the finding needs.
        assert_eq!(text.matches("\ncpu").count(), 2, "{text}");
        let again = run(&here, &["replay", "--subject", &library, file]);
        assert_eq!(again.status, 1, "{}{}", again.stdout, again.stderr);
        let test = fs::read_to_string(here.path().join(file).with_extension("test.rs")).expect("a test");
        assert!(test.contains("assert_sequence_agrees("), "{test}");
        fs::remove_dir_all(here.path().join("out")).expect("the findings");
    }
}

/// Fuzzing engines run many inputs on one subject. What a finding needs of earlier inputs is kept for its sequence, and
/// after a finding a new subject runs the next input.
#[test]
fn a_finding_of_an_engine_that_needs_an_earlier_input_becomes_a_sequence() {
    let here = folder();
    let library = small(&here, "remember.so", &["REMEMBER"]);
    let subject = SubjectKind::open(&here.path().join(&library)).expect("a library");
    let mut engine = Engine::new(Focus::Program, subject).expect("an engine");
    let (reads, idle) = (parse(READS).expect("a program"), parse(&idle()).expect("a program"));
    let mut run = |program: &Program| engine.run(&encode(program), &mut |_| {}).expect("a subject");
    for program in [&idle, &reads, &idle] {
        assert!(!matches!(run(program), EngineRun::Finding(..) | EngineRun::Rejected));
    }
    let EngineRun::Finding(finding, program) = run(&reads) else { panic!("no finding") };
    let before: Vec<Program> = engine.before().into_iter().map(|part| part.program).collect();
    assert_eq!((*program == reads, &before), (true, &vec![idle.clone(), reads.clone(), idle.clone()]));

    let origin = Origin::Engine { engine: "test".into(), file: None };
    let mut catch = Catch { origin, program: *program, finding: *finding };
    let made = pursue(&Roster::from(subject), &mut catch, &mut || Ok(vec![engine.before()]));
    let Made::Sequence(sequence, finding) = made else { panic!("no sequence") };
    assert_eq!((sequence.parts.len(), finding.repeats), (2, Some(false)));

    // The subject after the finding is a new one: it has read nothing yet.
    assert!(!matches!(engine.run(&encode(&reads), &mut |_| {}), Ok(EngineRun::Finding(..))));
    assert_eq!(engine.before(), []);
}

/// After a stretch of programs an engine's subject is replaced by a new one, which has not read anything.
#[test]
fn an_engine_replaces_its_subject_after_a_stretch() {
    let here = folder();
    let library = small(&here, "remember.so", &["REMEMBER"]);
    let subject = SubjectKind::open(&here.path().join(&library)).expect("a library");
    let mut engine = Engine::new(Focus::Program, subject).expect("an engine");
    let (reads, idle) = (encode(&parse(READS).expect("a program")), encode(&parse(&idle()).expect("a program")));
    for index in 0..STRETCH {
        let input = if index == 0 { &reads } else { &idle };
        assert!(!matches!(engine.run(input, &mut |_| {}), Ok(EngineRun::Finding(..))));
    }
    assert!(!matches!(engine.run(&reads, &mut |_| {}), Ok(EngineRun::Finding(..))));
    assert!(matches!(engine.run(&reads, &mut |_| {}), Ok(EngineRun::Finding(..))));
}

/// A fuzz target leaves a sequence for a finding that a fresh subject does not show. Triage shrinks and records it.
#[test]
fn triage_takes_sequences() {
    let here = folder();
    let library = small(&here, "remember.so", &["REMEMBER"]);
    let sequence = [idle(), READS.into(), idle(), READS.into()].concat();
    write(&here, "libfuzzer-1.realmode-sequence", &format!("{HEADER}\n{sequence}"));
    write(&here, "crash-1.realmode", READS);
    let args = ["triage", "--subject", &library, "--json", "sum.json", "crash-1.realmode"];
    let said = run(&here, &args);
    assert_eq!(said.status, 0, "{}{}", said.stdout, said.stderr);
    let said = run(&here, &[&args[..], &["libfuzzer-1.realmode-sequence"]].concat());
    assert_eq!(said.status, 1, "{}{}", said.stdout, said.stderr);
    let json: Value = serde_json::from_slice(&fs::read(here.path().join("sum.json")).expect("JSON")).expect("JSON");
    let finding = &json["findings"][0];
    assert_eq!((&finding["sequence"], &finding["repeats"]), (&2.into(), &false.into()), "{json}");
    let file = finding["file"].as_str().expect("a file");
    assert_eq!(run(&here, &["replay", "--subject", &library, file]).status, 1);
}

/// A process has room for one linear map, so a library that maps the memory can exist once only. What it shows is
/// shrunk all the same, when the hunt's own subject is gone.
#[test]
fn what_a_library_that_can_exist_once_shows_is_shrunk() {
    let here = folder();
    let library = small(&here, "once.so", &["REMEMBER", "DIRECT"]);
    let args = ["--jobs", "1", "--programs", "2000", "--seed", "5", "--dialect", "lopapr"];
    let (ran, json) = campaign(&here, &library, &args);
    assert_eq!((ran.status, &json["findings"][0]["sequence"]), (1, &2.into()), "{}", ran.stdout);
    let sequence = json["findings"][0]["file"].as_str().expect("a file").to_string();
    fs::create_dir(here.path().join("crashes")).expect("a folder");
    for name in ["crashes/1.realmode-sequence", "crashes/2.realmode-sequence", "crashes/3.realmode-sequence"] {
        fs::copy(here.path().join(&sequence), here.path().join(name)).expect("a copy");
    }
    let said = run(&here, &["triage", "--subject", &library, "--jobs", "3", "crashes"]);
    assert_eq!(said.status, 1, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("shown by a sequence of 2 programs"), "{}", said.stdout);
    assert!(said.stdout.contains("0 agreed, 3 with a finding, 1 different"), "{}", said.stdout);
}

/// A finding that does not show again is no reason to say that both sides agree.
#[test]
fn shrink_says_that_a_finding_does_not_show_again() {
    let here = folder();
    let once = format!("ONCE=\"{}\"", here.path().join("wrong-answer").display());
    let library = small(&here, "once.so", &[&once]);
    write(&here, "a.realmode", READS);
    let said = run(&here, &["shrink", "--subject", &library, "a.realmode"]);
    assert_eq!(said.status, 1, "{}{}", said.stdout, said.stderr);
    let says = "a.realmode: not shrunk, because no fresh subject shows the finding again: DIVERGE.R4 at step 1";
    assert!(said.stdout.starts_with(says), "{}", said.stdout);
    let said = run(&here, &["shrink", "--subject", &library, "a.realmode"]);
    assert_eq!(said.status, 0, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("nothing to shrink: no voter differs from the reference"), "{}", said.stdout);
}

#[test]
fn shrink_makes_no_second_subject_beside_the_first() {
    let here = folder();
    let library = small(&here, "direct.so", &["DIRECT", "SILENT"]);
    write(&here, "a.realmode", &format!("{READS}{}", READS.lines().last().expect("a call")));
    let said = run(&here, &["shrink", "--subject", &library, "a.realmode", "-o", "b.realmode"]);
    assert_eq!(said.status, 1, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("b.realmode: 1 of 2 steps"), "{}", said.stdout);
}

#[test]
fn each_file_of_corpus_stats_has_a_fresh_subject() {
    let here = folder();
    let library = small(&here, "remember.so", &["REMEMBER"]);
    fs::create_dir(here.path().join("in")).expect("a folder");
    write(&here, "in/a.realmode", READS);
    write(&here, "in/b.realmode", READS);
    let said = run(&here, &["corpus", "stats", "--subject", &library, "in"]);
    assert_eq!(said.status, 0, "{}{}", said.stdout, said.stderr);
}

/// Declared differences that no program can use, and those that have expired, are told by every command that takes a
/// ledger.
#[test]
fn unused_declared_differences_are_told_by_every_command() {
    let here = folder();
    let entry = |voter: &str, more: &str| {
        format!(
            "[[difference]]\nbetween = [\"reference\", \"{voter}\"]\nrule = \"DIVERGE.R4\"\nfield = \"r4\"\n\
             reason = \"a test\"\n{more}\n"
        )
    };
    let ledger = [entry("nobody", ""), entry("model/lopapr", "expires = 2020-01-01")].concat();
    write(&here, "ledger.toml", &ledger);
    write(&here, "a.realmode", READS);
    let voters = ["--against", "model/lopapr", "--ledger", "ledger.toml"];
    let idle = "1 declared differences cannot be used, these voters take no part: nobody";
    let expired =
        "declared difference, expired and no longer in force: reference - model/lopapr: DIVERGE.R4 r4: a test";
    let exhaust = ["exhaust", "--sections", "1", "--steps", "1", "--memory-model", "flatmem"];
    let fuzz = ["fuzz", "--programs", "10", "--dialect", "lopapr"];
    for args in [&fuzz[..], &exhaust, &["replay", "a.realmode"], &["shrink", "a.realmode"]] {
        let said = run(&here, &[args, &voters].concat());
        assert_eq!(said.status, 0, "{args:?} {}{}", said.stdout, said.stderr);
        let all = said.stdout + &said.stderr;
        assert!(all.contains(idle) && all.contains(expired), "{args:?}: {all}");
    }
}

/// A check that hangs keeps its subject. Of a library that can exist once no later file can be checked then, but what
/// was found before is recorded and told.
#[test]
fn a_file_that_cannot_be_checked_takes_no_finding_with_it() {
    let here = folder();
    let library = small(&here, "hangs.so", &["DIRECT", "SILENT", "HANG_AT=0x1000"]);
    fs::create_dir(here.path().join("in")).expect("a folder");
    let hangs = READS.replace("ioba=0x0", "ioba=0x1000");
    for (name, program) in [("a", READS), ("b", &hangs), ("c", READS)] {
        write(&here, &format!("in/{name}.realmode"), program);
    }
    let ran = run(&here, &["triage", "--subject", &library, "--jobs", "1", "--limit", "2s", "--out", "out", "in"]);
    assert_eq!(ran.status, 1, "{}{}", ran.stdout, ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("in/a.realmode: SUBJECT.PROTOCOL at step 1"), "{}", ran.stdout);
    assert!(lines[1].starts_with("in/b.realmode: SUBJECT.HANG at step 1"), "{}", ran.stdout);
    assert!(
        lines[2].starts_with("in/c.realmode: not checked: ") && lines[2].contains("no linear map"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.ends_with("0 agreed, 2 with a finding, 2 different, 1 that could not be checked\n"),
        "{}",
        ran.stdout
    );
    let reports = fs::read_dir(here.path().join("out")).expect("findings");
    let report = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().ends_with("report.txt");
    assert_eq!(reports.map(|entry| entry.expect("a file")).filter(report).count(), 2);
}

/// Ctrl-C ends a triage with what it has checked until then.
#[test]
fn a_triage_that_is_stopped_ends_with_its_summary() {
    let here = folder();
    let library = small(&here, "slow.so", &["SLOW=100000"]);
    fs::create_dir(here.path().join("in")).expect("a folder");
    for number in 0..400 {
        write(&here, &format!("in/{number}.realmode"), READS);
    }
    let child = Command::new(REALMODE)
        .args(["triage", "--subject", &library, "--jobs", "1", "--json", "sum.json", "in"])
        .current_dir(&here)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a triage");
    wait("a second process", Duration::from_secs(20), || children(child.id()).first().copied());
    // 400 files take 40 s at least.
    std::thread::sleep(Duration::from_secs(3));
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).expect("a process");
    let output = child.wait_with_output().expect("an end");
    let (text, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{text}{said}");
    assert!(text.trim_end().ends_with(" not checked, because the triage was stopped"), "{text}");
    let json: Value = serde_json::from_slice(&fs::read(here.path().join("sum.json")).expect("JSON")).expect("JSON");
    let number = |key: &str| json[key].as_u64().expect("a number");
    assert_eq!(number("files") + number("unchecked"), 400, "{json}");
    assert!(number("files") > 0 && number("unchecked") > 0, "{json}");
}

/// A library that cannot be loaded once more leaves one line and status 3, and what was found until then stays. If no
/// fresh subject could be asked about a finding, the finding is recorded as it was found, and does not claim that fresh
/// subjects show nothing.
#[test]
fn a_library_that_cannot_be_loaded_again_takes_no_finding_with_it() {
    let here = folder();
    write(&here, "a.realmode", READS);
    write(&here, "b.realmode", READS);
    let count = here.path().join("loads");
    let counts = format!("LOADS_FILE=\"{}\"", count.display());
    // Runs the command with a library that can be loaded `loads` times.
    let with = |loads: u64, args: &[&str]| {
        let library = small(&here, &format!("loads{loads}.so"), &["SILENT", &counts, &format!("LOADS={loads}")]);
        let _ = fs::remove_file(&count);
        run(&here, &[args, &["--subject", &library]].concat())
    };
    let mut ways = BTreeSet::new();
    for loads in 1..12 {
        let ran = with(loads, &["replay", "a.realmode", "b.realmode"]);
        let shown = ran.stdout.matches(".realmode: FINDING\n").count();
        let refused = ran.stderr.contains(&format!("./loads{loads}.so: `realmode_implementation` answered 0x0"));
        let expected = (if shown > 0 { 1 } else { 3 }, shown < 2);
        assert_eq!((ran.status, refused), expected, "{loads}: {}", ran.stderr);
        assert!(shown == 0 || ran.stdout.ends_with(&format!("0 agreed, {shown} with a finding\n")), "{}", ran.stdout);
        assert_eq!(ran.stderr.lines().count(), usize::from(refused), "{loads}: {}", ran.stderr);
        ways.insert(("replay", ran.status, shown));

        let out = format!("out{loads}");
        let ran = with(loads, &[&["fuzz", "--out", &out], &FORTY[..]].concat());
        let found = ran.stdout.contains("\nFINDING SUBJECT.PROTOCOL") || ran.stdout.starts_with("FINDING SUBJECT.");
        let refused = ran.stderr.contains(&format!("./loads{loads}.so: `realmode_implementation` answered 0x0"));
        assert_eq!((ran.status, refused), if found { (1, false) } else { (3, true) }, "{loads}: {}", ran.stderr);
        if found {
            let kept = store::programs_under(&here.path().join(&out)).expect("a folder");
            assert!(!kept.is_empty(), "{loads}");
            assert!(!ran.stdout.contains("a fresh subject does not show it"), "{loads}: {}", ran.stdout);
        }
        ways.insert(("fuzz", ran.status, usize::from(ran.stdout.contains(", not shrunk"))));

        let ran = with(loads, &["shrink", "a.realmode"]);
        let shrunk = ran.stdout.contains("SUBJECT.PROTOCOL") && ran.stdout.contains("1-minimal");
        let refused = ran.stderr.contains(&format!("./loads{loads}.so: `realmode_implementation` answered 0x0"));
        let seen = ran.stderr.contains("found before: SUBJECT.PROTOCOL");
        let expected = if shrunk { (1, false) } else { (if seen { 1 } else { 3 }, true) };
        assert_eq!((ran.status, refused), expected, "{loads}: {}", ran.stderr);
        ways.insert(("shrink", ran.status, usize::from(seen)));
    }
    let expected = [
        ("fuzz", 1, 0),
        ("fuzz", 1, 1),
        ("fuzz", 3, 0),
        ("replay", 1, 1),
        ("replay", 1, 2),
        ("replay", 3, 0),
        ("shrink", 1, 0),
        ("shrink", 1, 1),
        ("shrink", 3, 0),
    ];
    assert_eq!(ways, BTreeSet::from(expected));
}
