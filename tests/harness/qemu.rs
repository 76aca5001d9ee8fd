//! Tests of the live QEMU as a voter: it is missing, is no QEMU, is killed or stopped, and ends with the command.
//!
//! Where QEMU is not installed, tests that need it say so on standard error and pass. `.ci/run` installs it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use programs::{inputs, store};
use realmode_diff::Verdict;
use realmode_diff::voters::qemu::{self, guest};
use realmode_diff::voters::{Look, Roster};
use tempfile::TempDir;

use super::processes::{children, lives, wait};
use super::shared::{self, REALMODE, folder};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether QEMU is installed. Says on standard error if it is not.
fn installed() -> bool {
    match qemu::Config::default().version() {
        Ok(_) => true,
        Err(missing) => {
            eprintln!("this test ran without a live QEMU: {missing}");
            false
        }
    }
}

/// Writes a script that is run instead of QEMU. It prints `version` if it is asked for its version, and otherwise runs
/// `then`.
fn stand_in(folder: &TempDir, version: &str, then: &str) -> PathBuf {
    let path = folder.path().join("qemu-stand-in");
    let script = format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{version}'; exit 0; fi\n{then}\n");
    fs::write(&path, script).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a script that runs");
    path
}

const GOOD: &str = "QEMU emulator version 7.2.22 (a stand-in)";

/// Runs the command, which must end within `limit`. Returns its status, standard output and standard error.
fn run(folder: &TempDir, limit: Duration, args: &[&str]) -> (i32, String, String) {
    let started = Instant::now();
    let ran = shared::run(folder, args);
    assert!(started.elapsed() < limit, "{args:?} took {:?}", started.elapsed());
    (ran.status, ran.stdout, ran.stderr)
}

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

// ---- the code of the guest ------------------------------------------------------------------------------------------

#[test]
fn the_guest_is_what_its_assembly_says() {
    let folder = folder();
    let object = folder.path().join("guest.o");
    let assembled = Command::new("powerpc64-linux-gnu-as")
        .args(["-mbig", "-mpower7", "-o"])
        .arg(&object)
        .arg(root().join("harness/src/voters/qemu/guest.s"))
        .status();
    match assembled {
        Ok(status) => assert!(status.success()),
        Err(missing) => {
            eprintln!("the guest was not assembled, binutils-powerpc64-linux-gnu is not here: {missing}");
            return;
        }
    }
    for (section, expected) in [(".boot", &guest::BOOT[..]), (".monitor", &guest::MONITOR[..])] {
        let binary = folder.path().join("section");
        let copied = Command::new("powerpc64-linux-gnu-objcopy")
            .args(["-O", "binary", "-j", section])
            .args([&object, &binary])
            .status()
            .expect("objcopy, of the same package");
        assert!(copied.success());
        let bytes = fs::read(&binary).expect("the section");
        let words: Vec<u32> =
            bytes.chunks(4).map(|word| word.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))).collect();
        assert_eq!(words, expected, "{section}");
    }
}

// ---- programs that are no QEMU --------------------------------------------------------------------------------------

#[test]
fn without_qemu_there_is_one_line_that_installs_it() {
    let folder = folder();
    let file = root().join("corpora/seeds/qemu-order-of-checks.realmode");
    let file = file.to_str().expect("text");
    for name in ["/nowhere/qemu-system-ppc64", "qemu-that-nobody-has"] {
        for command in [
            &["fuzz", "--against", "qemu", "--qemu", name][..],
            &["replay", "--against", "qemu", "--qemu", name, file],
            &["shrink", "--against", "qemu", "--qemu", name, file],
        ] {
            let (status, out, err) = run(&folder, SECONDS(10), command);
            assert_eq!((status, out.as_str()), (3, ""), "{command:?}: {err}");
            assert_eq!(err.lines().count(), 1, "{err}");
            assert!(err.contains(name) && err.contains(qemu::INSTALL), "{err}");
        }
    }
}

#[test]
fn what_is_too_old_or_no_qemu_is_refused() {
    let folder = folder();
    for version in ["QEMU emulator version 4.1.0 (an old one)", "busybox 1.36", "", "QEMU emulator version soon"] {
        let program = stand_in(&folder, version, "exit 1");
        let program = program.to_str().expect("text");
        let (status, _, err) = run(&folder, SECONDS(10), &["fuzz", "--against", "qemu", "--qemu", program]);
        assert_eq!(status, 3, "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.contains("5.0") && err.contains(version), "{err}");
    }
}

#[test]
fn one_that_does_not_start_says_why() {
    let folder = folder();
    // The last line counts, however much QEMU wrote before it.
    let says = "yes 'a warning' | head -n 5000 >&2; echo 'no such machine here' >&2; exit 1";
    let program = stand_in(&folder, GOOD, says);
    let args = ["fuzz", "--against", "qemu", "--qemu", program.to_str().expect("text"), "--time", "60s", "--json", "j"];
    let (status, out, err) = run(&folder, SECONDS(20), &args);
    assert_eq!(status, 3, "{out}{err}");
    assert!(err.contains("no such machine here"), "{err}");
    let json = fs::read_to_string(folder.path().join("j")).expect("a summary");
    assert!(json.contains("\"verdict\": \"lost\""), "{json}");
    assert!(out.contains("nothing was compared in 0 programs"), "the summary comes all the same: {out}");
}

#[test]
fn one_whose_guest_never_comes_up_is_given_up() {
    let folder = folder();
    let mark = folder.path().join("pids");
    let program = stand_in(&folder, GOOD, &format!("echo $$ >> {}; exec sleep 600", mark.display()));
    let args = ["fuzz", "--against", "qemu", "--qemu", program.to_str().expect("text"), "--qemu-limit", "300ms"];
    let (status, _, err) = run(&folder, SECONDS(30), &args);
    assert_eq!(status, 3, "{err}");
    assert!(err.contains("300ms"), "{err}");
    let pids = fs::read_to_string(mark).expect("it was started");
    assert!(pids.lines().all(|pid| !lives(pid.parse().expect("a number"))), "sleepers are left: {pids}");
}

// ---- processes ------------------------------------------------------------------------------------------------------

/// The QEMUs that run as children of a process, without those that were only asked for their version.
fn qemus(parent: u32) -> Vec<u32> {
    let is_qemu = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.starts_with("qemu-system-ppc64\0") && line.contains("\0pseries,"))
    };
    children(parent).into_iter().filter(is_qemu).collect()
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().expect("kill").success());
}

/// Starts a campaign. Returns it with the pid of its QEMU, whose guest is up by then.
fn campaign(folder: &TempDir, args: &[&str]) -> (Child, u32) {
    let child = Command::new(REALMODE)
        .args(["fuzz", "--against", "qemu", "--seed", "1", "--out", "out"])
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a campaign");
    wait("a QEMU", SECONDS(20), || qemus(child.id()).first().copied());
    std::thread::sleep(Duration::from_millis(300));
    // The next program may have needed another board, and so another QEMU.
    let qemu = wait("a QEMU", SECONDS(20), || qemus(child.id()).first().copied());
    (child, qemu)
}

fn ended(child: Child) -> (i32, String) {
    let output = child.wait_with_output().expect("an end");
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn a_qemu_that_is_killed_or_stopped_is_started_again() {
    if !installed() {
        return;
    }
    for (signalled, said) in [("-KILL", "ended by signal 9"), ("-STOP", "gave no answer within 1s")] {
        let folder = folder();
        let (child, qemu) = campaign(&folder, &["--time", "6s", "--qemu-limit", "1s"]);
        let realmode = child.id();
        signal(qemu, signalled);
        wait("another QEMU", SECONDS(20), || qemus(realmode).into_iter().find(|pid| *pid != qemu));
        assert!(!lives(qemu), "the first is left");
        let (status, out) = ended(child);
        assert_eq!(status, 0, "{out}");
        assert!(out.contains("lost and started again 1 times") && out.contains(said), "{out}");
        assert!(out.contains("incident at program "), "{out}");
        // The campaign kept the program that ran.
        let kept = store::programs_under(&folder.path().join("out")).expect("files");
        assert_eq!(kept.len(), 1, "{kept:?}");
        let name = kept[0].file_name().expect("a name").to_string_lossy().into_owned();
        assert!(name.starts_with("incident-seed1-"), "{name}");
        inputs::read_text(&kept[0]).expect("a program");
    }
}

/// A stand-in that runs the shell commands `first` and then becomes QEMU, except if it is asked for its version. `$n`
/// is the number of the start, from 1.
fn starting(folder: &TempDir, first: &str) -> PathBuf {
    let count = folder.path().join("starts");
    let then = format!("echo >> {0}; n=$(wc -l < {0})\n{first}\nexec qemu-system-ppc64 \"$@\"", count.display());
    stand_in(folder, GOOD, &then)
}

/// How often a [`starting`] stand-in was started as a machine.
fn starts(folder: &TempDir) -> usize {
    fs::read_to_string(folder.path().join("starts")).expect("it was started").lines().count()
}

const ONE_BOARD: [&str; 8] = ["fuzz", "--against", "qemu", "--seed", "1", "--programs", "64", "--jobs"];

/// A boot that is killed does not mean that the machine cannot be had.
#[test]
fn a_qemu_that_is_killed_while_it_boots_is_started_again() {
    if !installed() {
        return;
    }
    for killed in [1, 3] {
        let folder = folder();
        let program = starting(&folder, &format!("[ $n -le {killed} ] && kill -KILL $$"));
        let args = [&ONE_BOARD[..], &["1", "--qemu", program.to_str().expect("text")]].concat();
        let (status, out, err) = run(&folder, SECONDS(60), &args);
        assert_eq!(status, 0, "{out}{err}");
        assert!(out.contains(&format!("lost and started again {killed} times")), "{out}");
        assert!(out.contains("incident at program 0 ") && out.contains("did not start: ended by signal 9"), "{out}");
        assert!(out.contains("qemu, which shows registers, tables: 64 programs"), "{out}");
        // Every program is compared all the same, but for calls of opcodes that QEMU is not asked.
        assert!(
            out.contains(", all of 0; the first: compared but for ") && out.contains(" steps not asked\n"),
            "{out}"
        );
        assert!(out.contains("QEMU is not asked opcode 0x"), "{out}");
        assert_eq!(starts(&folder), killed + 1);
    }
    let folder = folder();
    let program = starting(&folder, "kill -KILL $$");
    let args = [&ONE_BOARD[..], &["1", "--qemu", program.to_str().expect("text")]].concat();
    let (status, out, err) = run(&folder, SECONDS(60), &args);
    assert_eq!(status, 3, "{out}{err}");
    assert!(err.contains("did not start: ended by signal 9"), "{err}");
    assert!(
        out.contains("nothing was compared in 0 programs") && out.contains("lost and started again 4 times"),
        "{out}"
    );
}

/// A program is not compared if QEMU refuses its machine twice and starts the smallest one.
#[test]
fn a_machine_that_qemu_refuses_twice_is_not_compared() {
    if !installed() {
        return;
    }
    let head = "realmode-program 1
dialect qemu
machine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=32
window 0x71000005 page_shift=12 base=0x0 entries=65536 emulated table=0x9000000
steps
cpu0 H_GET_TCE liobn=0x71000005 ioba=0x0
";
    // When QEMU refuses, how it then ends, how often it is started, and what the command says. The smallest machine is
    // never refused, because it has no such device.
    for (refuses, end, started, told) in [
        ("true", "exit 1", 3, "nothing was compared"),
        ("[ $n -eq 1 ]", "exit 1", 2, "1 agreed"),
        // A signal is no refusal, whatever QEMU printed before.
        ("[ $n -eq 1 ]", "kill -KILL $$", 2, "1 agreed"),
        ("true", "kill -KILL $$", 4, "did not start: ended by signal 9"),
    ] {
        let folder = folder();
        fs::write(folder.path().join("a.realmode"), head).expect("a program");
        let says = format!("case \"$*\" in *vscsi*) {refuses} && {{ echo 'no vscsi today' >&2; {end}; }};; esac");
        let program = starting(&folder, &says);
        let args = ["replay", "--against", "qemu", "--qemu", program.to_str().expect("text"), "a.realmode"];
        let (status, out, err) = run(&folder, SECONDS(60), &args);
        let case = format!("{refuses}, {end}: {out}{err}");
        assert_eq!(status, if told == "1 agreed" { 0 } else { 3 }, "{case}");
        assert!(format!("{out}{err}").contains(told), "{case}");
        assert_eq!(out.contains("no vscsi today"), told == "nothing was compared", "{case}");
        assert_eq!(starts(&folder), started, "{case}");
    }
}

/// The program takes minutes, and each QEMU that is started ends or stops after half a second. The harness cannot tell
/// this from a program that always ends QEMU, so it is a finding.
#[test]
fn a_program_at_which_qemu_always_goes_is_a_finding() {
    if !installed() {
        return;
    }
    let folder = folder();
    let head = "realmode-program 1
dialect qemu
machine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=32
window 0x71000005 page_shift=12 base=0x0 entries=65536 emulated table=0x9000000
steps
";
    let step = "cpu0 H_STUFF_TCE liobn=0x71000005 ioba=0x0 tce=0x1003 count=65536\n";
    fs::write(folder.path().join("long.realmode"), format!("{head}{}", step.repeat(2000))).expect("a program");
    for (signalled, rule, said) in
        [("-KILL", "SUBJECT.CRASH", "ended by signal 9"), ("-STOP", "SUBJECT.HANG", "gave no answer within 1s")]
    {
        let then = format!("(sleep 0.5; kill {signalled} $$) & exec qemu-system-ppc64 \"$@\"");
        let program = stand_in(&folder, GOOD, &then);
        let qemu = ["--against", "qemu", "--qemu", program.to_str().expect("text"), "--qemu-limit", "1s"];
        let (status, out, err) = run(&folder, SECONDS(60), &[&["replay", "long.realmode"][..], &qemu].concat());
        assert_eq!(status, 1, "{out}{err}");
        assert!(out.contains(&format!("finding    {rule}")) && out.contains(said), "{out}");
        assert!(out.contains("subject    qemu") && out.contains("H_STUFF_TCE"), "{out}");
    }
}

#[test]
fn nothing_is_left_however_the_command_ends() {
    if !installed() {
        return;
    }
    // The campaign ends by its time limit, by Ctrl-C, by SIGTERM and by SIGKILL.
    for (end, status) in [(None, 0), (Some("-INT"), 0), (Some("-TERM"), -1), (Some("-KILL"), -1)] {
        let folder = folder();
        let time = if end.is_none() { "1s" } else { "60s" };
        let (child, qemu) = campaign(&folder, &["--time", time]);
        // The memory of the guest is a memfd, so no file can be left.
        let maps = fs::read_to_string(format!("/proc/{qemu}/maps")).expect("its memory");
        assert!(maps.contains("memfd:realmode-ram"), "{maps}");
        if let Some(end) = end {
            signal(child.id(), end);
        }
        let (found, out) = ended(child);
        assert_eq!(found, status, "{end:?}: {out}");
        if status == 0 {
            assert!(out.contains("no divergence") && !out.contains("incident"), "{end:?}: {out}");
        }
        wait("the end of QEMU", SECONDS(20), || (!lives(qemu)).then_some(()));
        let left: Vec<_> = fs::read_dir(&folder).expect("the folder").collect();
        assert!(left.is_empty(), "{end:?}: {left:?}");
    }
}

// ---- programs -------------------------------------------------------------------------------------------------------

#[test]
fn a_live_qemu_agrees_with_the_reference() {
    if !installed() {
        return;
    }
    let folder = folder();
    let args = ["fuzz", "--subject", "candidate", "--against", "qemu", "--programs", "192", "--seed", "1"];
    let (status, out, err) = run(&folder, SECONDS(120), &args);
    assert_eq!(status, 0, "{out}{err}");
    let line = out.lines().find(|line| line.starts_with("qemu, which shows")).expect("a line on qemu");
    assert!(line.contains("192 programs") && line.contains("entries read back"), "{line}");
}

/// QEMU agrees with all programs of dialect qemu in the seeds and regressions. It cannot have the machines of some of
/// them.
#[test]
fn corpora_hold_live() {
    if !installed() {
        return;
    }
    let roster = Roster::of(vec![std::sync::Arc::new(qemu::Config::default())]);
    let mut panel = roster.panel(Look::Whole).expect("QEMU is there");
    for corpus in ["seeds", "regressions"] {
        for file in store::programs_under(&root().join("corpora").join(corpus)).expect("files") {
            let program = inputs::read_text(&file).expect("a program");
            if program.dialect == realmode_diff::Dialect::Qemu {
                let verdict = panel.check(&program).expect("QEMU is there");
                assert!(matches!(verdict, Verdict::Agreed | Verdict::NotCompared(_)), "{}: {verdict}", file.display());
            }
        }
    }
    let voter = panel.take_roll().voters.remove(0);
    assert!(voter.programs >= 10 && voter.uncovered < voter.programs / 2, "{voter:?}");
}

#[test]
fn what_qemu_cannot_have_is_said() {
    if !installed() {
        return;
    }
    let folder = folder();
    let file = root().join("corpora/dialects/pinned-windows.realmode");
    let args = ["replay", "--against", "qemu", file.to_str().expect("text")];
    let (status, out, err) = run(&folder, SECONDS(20), &args);
    assert_eq!(status, 3, "{err}");
    assert!(err.contains("nothing was compared") && out.contains("no pinned windows"), "{out}{err}");
    assert!(out.contains("0 agreed, 1 not compared, 0 with a finding"), "{out}");
}

/// Windows of one bridge come and go in every order, and a closed window is unknown. QEMU 7.2 restores the default
/// window of a bridge when the last other one goes. A campaign found that the harness then took that window for closed.
#[test]
fn windows_that_are_gone_are_unknown() {
    if !installed() {
        return;
    }
    let roster = Roster::of(vec![std::sync::Arc::new(qemu::Config::default())]);
    let mut panel = roster.panel(Look::Whole).expect("QEMU is there");
    let first = "0x80000200 page_shift=16 base=0x0 entries=2 emulated table=0x9000000";
    let second = "0x80000201 page_shift=16 base=0x100000000 entries=2 emulated table=0x9001000";
    let look = "cpu0 H_GET_TCE liobn=0x80000200 ioba=0x0\ncpu0 H_GET_TCE liobn=0x80000201 ioba=0x100000000\n";
    let change = |words: &[String]| words.iter().map(|word| format!("{word}\n{look}")).collect::<String>();
    let (close, create) =
        (|window: &str| format!("close-window {}", &window[..10]), |window| format!("create-window {window}"));
    for (windows, steps) in [
        (vec![], vec![]),
        (vec![first], vec![close(first), create(first), close(first)]),
        (vec![second], vec![close(second), create(first), create(second)]),
        (vec![first, second], vec![close(second), close(first), create(first)]),
        (vec![first, second], vec![close(first), close(second), create(first), create(second), close(second)]),
    ] {
        let windows: String = windows.iter().map(|window| format!("window {window}\n")).collect();
        let text = format!(
            "realmode-program 1\ndialect qemu\nmachine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=32\n\
             {windows}steps\n{look}{}",
            change(&steps)
        );
        let program = realmode_diff::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let verdict = panel.check(&program).expect("QEMU is there");
        assert!(matches!(verdict, Verdict::Agreed), "{verdict:?}\n{text}");
    }
    let voter = panel.take_roll().voters.remove(0);
    assert_eq!((voter.uncovered, voter.incidents), (0, 0), "{voter:?}");
}

/// Shrinking with a live QEMU keeps the rule, field, kind of step and dialect. With an empty ledger a declared
/// difference is a finding.
#[test]
fn shrinking_keeps_what_differs() {
    if !installed() {
        return;
    }
    let folder = folder();
    fs::write(folder.path().join("empty.toml"), "").expect("a ledger");
    let file = root().join("corpora/dialects/count-zero-indirect.realmode");
    let text = fs::read_to_string(file).expect("a program").replace("dialect qemu", "dialect lopapr");
    fs::write(folder.path().join("a.realmode"), text).expect("a program");
    let args = ["shrink", "--against", "qemu", "--ledger", "empty.toml", "a.realmode", "-o", "b.realmode"];
    let (status, out, err) = run(&folder, SECONDS(60), &args);
    assert_eq!(status, 1, "{out}{err}");
    let shrunk = inputs::read_text(&folder.path().join("b.realmode")).expect("a program");
    assert_eq!((shrunk.dialect, shrunk.steps.len()), (realmode_diff::Dialect::Lopapr, 1), "{shrunk}");
    let (_, out, _) =
        run(&folder, SECONDS(20), &["replay", "--against", "qemu", "--ledger", "empty.toml", "b.realmode"]);
    assert!(out.contains("DIVERGE.STATUS") && out.contains("H_PUT_TCE_INDIRECT"), "{out}");
    // With the default ledger it is no finding.
    let (status, out, _) = run(&folder, SECONDS(20), &["replay", "--against", "qemu", "b.realmode"]);
    assert_eq!(status, 0, "{out}");
    assert!(out.contains("up to a declared difference"), "{out}");
}

// ---- ledgers --------------------------------------------------------------------------------------------------------

#[test]
fn a_ledger_that_is_none_says_where() {
    let folder = folder();
    let good = "[[difference]]\nbetween = [\"reference\", \"qemu\"]\nrule = \"DIVERGE.R4\"\nfield = \"r4\"\nreason = \"a test\"\n";
    for (text, said) in [
        (good.replace("DIVERGE.R4", "DIVERGE.R5"), "line 1: no rule is called \"DIVERGE.R5\""),
        (good.replace("\"r4\"", "\"r5\""), "line 1: no field is called \"r5\"; expected one of: status, r4, registers"),
        (
            format!("{good}call = \"H_PUT\"\n"),
            "line 1: no kind of step is called \"H_PUT\"; expected one of: start, H_GET_TCE",
        ),
        (format!("{good}\n{}", good.replace("\"a test\"", "\" \"")), "line 7: a declared difference needs a reason"),
        (good.replace("field = ", "filed = "), "filed"),
        (good.replace("reason = \"a test\"\n", ""), "reason"),
        ("[[difference\n".into(), "1"),
    ] {
        fs::write(folder.path().join("ledger.toml"), text).expect("a ledger");
        let args = ["fuzz", "--against", "model/qemu", "--ledger", "ledger.toml"];
        let (status, _, err) = run(&folder, SECONDS(10), &args);
        assert_eq!(status, 2, "{err}");
        assert!(err.contains("ledger.toml") && err.contains(said), "expected {said:?}: {err}");
    }
    let (status, _, err) = run(&folder, SECONDS(10), &["fuzz", "--against", "model/qemu", "--ledger", "none.toml"]);
    assert_eq!(status, 2, "{err}");
}

#[test]
fn entries_are_counted_or_stale() {
    let folder = folder();
    let ledger = |more: &str| {
        let text = include_str!("../../harness/src/voters/ledger/dialects.toml");
        fs::write(folder.path().join("ledger.toml"), format!("{text}{more}")).expect("a ledger");
        let args = ["fuzz", "--against", "model/qemu", "--dialect", "kvm", "--programs", "3000", "--seed", "1"];
        run(&folder, SECONDS(120), &[&args[..], &["--ledger", "ledger.toml"]].concat())
    };
    let stale = "[[difference]]\nbetween = [\"reference/kvm\", \"qemu\"]\nrule = \"DIVERGE.R4\"\nfield = \"r4\"\nreason = \"a test\"\n";
    let (status, out, err) = ledger(stale);
    assert_eq!(status, 0, "{out}{err}");
    assert!(out.contains("declared difference, seen ") && out.contains("STUFF.PERM"), "{out}");
    assert!(
        out.contains("declared difference never seen, stale: reference/kvm - qemu: DIVERGE.R4 r4: a test"),
        "{out}"
    );
    // Declared differences of the other dialect cannot occur in this campaign. One line counts them.
    let idle = "\n8 declared differences cannot be used, these voters take no part: reference/lopapr\n";
    assert!(out.contains(idle) && !out.contains("reference/lopapr - "), "{out}");
    fs::write(folder.path().join("ledger.toml"), "").expect("a ledger");
    let args = ["fuzz", "--against", "model/qemu", "--dialect", "kvm", "--programs", "300", "--seed", "1"];
    let (status, out, _) = run(&folder, SECONDS(120), &[&args[..], &["--ledger", "ledger.toml"]].concat());
    assert_eq!(status, 1, "undeclared: {out}");
    assert!(out.contains("FINDING DIVERGE."), "{out}");
}
