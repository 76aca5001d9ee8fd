//! A running QEMU: its process, its mailbox, the windows that it has, and the lists in its memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::os::unix::fs::FileExt;

use contract::hcall::LIST_BYTES;
use contract::{Hypercall, Liobn, Machine, Status, Step, WindowSpec};
use reference::Reference;

use super::board::{Board, Place, VIO_ENTRIES, place, vio_window};
use super::child::{Child, Config, End};
use super::guest;
use super::layout::{RAM, RESERVED, RTAS};
use super::mailbox::{Batch, Mailbox, Waited};
use crate::voters::ahead::{Expected, List, Running, Uncovered, Written, ioba};
use crate::voters::restart::{Loss, Way};

/// Number of 8-byte words in a page of a list.
const LIST_WORDS: usize = (LIST_BYTES / 8) as usize;

/// Token of the RTAS call that creates a window, as QEMU numbers the calls. `REMOVE` removes a window, `RESET` gives a
/// bridge its default window again.
const CREATE: u32 = 0x2027;
const REMOVE: u32 = 0x2028;
const RESET: u32 = 0x2029;
/// Status of an RTAS call that succeeded.
const SUCCESS: i32 = 0;
const NO_SUCH_WINDOW: i32 = -3;

/// A running QEMU. Its guest runs the monitor, which issues the requested hypercalls.
pub struct Live {
    child: Child,
    config: Config,
    mailbox: Mailbox,
    batch: Batch,
    /// One item for each request that has no answer yet, except RTAS calls: whether the pipeline expects the answer. It
    /// expects none to the requests that clear tables or store lists.
    expects: VecDeque<bool>,
    board: Board,
    /// The windows of PCI host bridges that this QEMU has now, by LIOBN.
    windows: BTreeMap<u64, WindowSpec>,
    /// The pages of QEMU's memory in which lists were stored, with their contents, by guest physical address. All other
    /// memory of the program is 0. A list that is there already is not stored again.
    lists: HashMap<u64, Box<[u64; LIST_WORDS]>>,
}

impl Live {
    /// Starts a QEMU with this board and waits until its guest takes requests. The error says how the machine was lost
    /// before that.
    pub(super) fn boot(config: &Config, board: Board) -> Result<Self, Loss> {
        let failed = |way: Way, why: String| Loss::new(way, format!("({}) {why}", config.program.display()));
        let child =
            Child::start(config, &board).map_err(|error| failed(Way::Host, format!("did not start: {error}")))?;
        let windows = board.bridges().flat_map(|index| board.default_window(index)).collect();
        let mut live = Self {
            child,
            config: config.clone(),
            mailbox: Mailbox::default(),
            batch: Batch::default(),
            expects: VecDeque::new(),
            board,
            windows,
            lists: HashMap::new(),
        };
        live.post()?;
        match live.wait()? {
            done @ Waited::Done => drop(io(live.mailbox.take(&live.child.memory, &done))?),
            Waited::Silent => {
                let why = format!("did not start: its guest gave no answer within {:?}", config.limit);
                return Err(failed(Way::Silent, why));
            }
            Waited::Dead(End { how, refusal }) => {
                let way = refusal.map_or(Way::Ended, Way::Refused);
                return Err(failed(way, format!("did not start: {how}")));
            }
        }
        // The firmware is not needed any more, and its place belongs to the program's memory, which is all zero.
        io(live.child.memory.write_all_at(&vec![0; guest::firmware().len()], 0))?;
        Ok(live)
    }

    /// Notes a request that was just added to the batch, and sends the batch if it is full. Before that, waits for a
    /// free buffer if there is none, and passes answers to `expected`. `expects` says whether the pipeline expects the
    /// answer. The error says how the machine was lost.
    fn pushed(&mut self, expects: bool, expected: &mut Expected) -> Result<(), Loss> {
        self.expects.push_back(expects);
        if !self.batch.is_full(self.config.batch) {
            return Ok(());
        }
        if self.mailbox.is_full() {
            self.collect(expected)?;
        }
        self.post()
    }

    /// Waits for the oldest batch that was sent. Fails if the harness cannot read the shared memory.
    fn wait(&mut self) -> Result<Waited<End>, Loss> {
        let Self { child: Child { process, memory, .. }, mailbox, config, .. } = self;
        io(mailbox.wait(memory, config.limit, || process.ended()))
    }

    fn lost(&self, waited: Waited<End>) -> Result<(), Loss> {
        match waited {
            Waited::Done => Ok(()),
            Waited::Silent => Err(Loss::new(Way::Silent, format!("gave no answer within {:?}", self.config.limit))),
            Waited::Dead(end) => Err(Loss::new(Way::Ended, end.how)),
        }
    }

    fn post(&mut self) -> Result<(), Loss> {
        io(self.mailbox.post(&self.child.memory, &self.batch))?;
        self.batch.clear();
        Ok(())
    }

    /// Waits for the oldest batch that was sent and passes its answers to the pipeline. If the machine is lost,
    /// `collect` passes on the answers that came, and then fails.
    fn collect(&mut self, expected: &mut Expected) -> Result<(), Loss> {
        let waited = self.wait()?;
        let Self { child: Child { memory, .. }, mailbox, expects, .. } = self;
        for answer in io(mailbox.take(memory, &waited))? {
            // The other answers are to calls that clear tables or store lists.
            if expects.pop_front() == Some(true) {
                expected.take(answer);
            }
        }
        self.lost(waited)
    }

    /// Returns the window with this LIOBN that a bridge has now, or that the board has as a VIO window; `None` if
    /// neither has one.
    fn window(&self, liobn: Liobn) -> Option<WindowSpec> {
        let vio = || self.board.vio().find(|vio| *vio == liobn.0).map(vio_window);
        self.windows.get(&liobn.0).copied().or_else(vio)
    }

    /// Returns those windows of `wanted` that belong to the bridge with this index: its first and its second window,
    /// `None` for a window that is not wanted.
    fn wanted(index: u32, wanted: &[WindowSpec]) -> [Option<WindowSpec>; 2] {
        let mut windows = [None; 2];
        for spec in wanted {
            if let Some(Place::Bridge { index: bridge, number }) = place(spec.liobn.0)
                && bridge == index
            {
                windows[number] = Some(*spec);
            }
        }
        windows
    }

    fn bridge_has(&self, index: u32, want: &[Option<WindowSpec>; 2]) -> bool {
        [0, 1].into_iter().all(|number| {
            let have = self.windows.get(&liobn(index, number));
            have.map(shape) == want[number].as_ref().map(shape)
        })
    }

    /// Returns whether the bridges have exactly the windows of `wanted`. VIO windows do not count, because they cannot
    /// be removed.
    fn has_exactly(&self, wanted: &[WindowSpec]) -> bool {
        self.board.bridges().all(|index| self.bridge_has(index, &Self::wanted(index, wanted)))
    }

    /// Gives the bridges exactly the windows of `wanted`. All hypercalls must have been answered. Returns both LIOBNs
    /// of each bridge whose windows were made anew; all entries are zero there. The error says how the machine was
    /// lost.
    fn arrange(&mut self, wanted: &[WindowSpec]) -> Result<Vec<Liobn>, Loss> {
        let mut made = Vec::new();
        for index in self.board.bridges().collect::<Vec<_>>() {
            let want = Self::wanted(index, wanted);
            if !self.bridge_has(index, &want) {
                self.rebuild(index, want)?;
                made.extend([0, 1].map(|number| Liobn(liobn(index, number))));
            }
        }
        Ok(made)
    }

    /// Resets the bridge with this index and makes the windows of `want`, the first window before the second. The error
    /// says how the machine was lost.
    fn rebuild(&mut self, index: u32, want: [Option<WindowSpec>; 2]) -> Result<(), Loss> {
        self.reset(index)?;
        let default = self.board.default_window(index).map(|(_, spec)| shape(&spec));
        let [first, second] = want;
        if let Some(first) = first
            && default != Some(shape(&first))
        {
            self.remove(liobn(index, 0))?;
            self.create(index, &first)?;
        }
        if let Some(second) = second {
            self.create(index, &second)?;
        }
        if first.is_none() {
            self.remove(liobn(index, 0))?;
        }
        Ok(())
    }

    /// Removes a window in the middle of a program. All hypercalls must have been answered. The outer error says how
    /// the machine was lost, the inner error why QEMU cannot remove the window.
    fn close(&mut self, window: Liobn) -> Result<Result<(), Uncovered>, Loss> {
        let Some(Place::Bridge { index, number }) = place(window.0) else {
            return Ok(Err("the window of a VIO device cannot be closed".into()));
        };
        let first = liobn(index, 0);
        let restored = number == 1 && !self.windows.contains_key(&first);
        self.remove(window.0)?;
        // QEMU brings the default window back when the last other one is removed (seen in 7.2). The program has no such
        // window, so it is removed again.
        if restored {
            self.rtas(REMOVE, &[first as u32], 1, &[SUCCESS, NO_SUCH_WINDOW])?;
        }
        Ok(Ok(()))
    }

    /// Creates a window in the middle of a program. All hypercalls must have been answered. The outer error says how
    /// the machine was lost, the inner error why QEMU cannot create the window.
    fn open(&mut self, spec: &WindowSpec) -> Result<Result<(), Uncovered>, Loss> {
        let mut board = self.board.clone();
        if let Err(why) = board.add(spec) {
            return Ok(Err(why));
        }
        let Some(Place::Bridge { index, number }) = place(spec.liobn.0).filter(|_| board == self.board) else {
            return Ok(Err(format!("QEMU cannot get window {} while it runs", spec.liobn)));
        };
        let other = self.windows.contains_key(&liobn(index, 1 - number));
        let default = self.board.default_window(index).is_some_and(|(_, default)| shape(&default) == shape(spec));
        match (number, other) {
            // If a bridge has no window, it is not specified which one RTAS makes next. After a reset it is the first.
            (0, false) if default || spec.entries.is_power_of_two() => self.rebuild(index, [Some(*spec), None]).map(Ok),
            (1, true) => self.create(index, spec).map(Ok),
            (0, _) => Ok(Err("a first window can be made only while there is no second".into())),
            _ => Ok(Err("a second window can be made only while there is a first".into())),
        }
    }

    fn remove(&mut self, liobn: u64) -> Result<(), Loss> {
        self.rtas(REMOVE, &[liobn as u32], 1, &[SUCCESS])?;
        self.windows.remove(&liobn);
        Ok(())
    }

    fn reset(&mut self, index: u32) -> Result<(), Loss> {
        let [high, low] = unit(index);
        self.rtas(RESET, &[0, high, low], 1, &[SUCCESS])?;
        for number in [0, 1] {
            self.windows.remove(&liobn(index, number));
        }
        self.windows.extend(self.board.default_window(index));
        Ok(())
    }

    fn create(&mut self, index: u32, spec: &WindowSpec) -> Result<(), Loss> {
        let [high, low] = unit(index);
        let window_shift = spec.page_shift + spec.entries.trailing_zeros();
        let results = self.rtas(CREATE, &[0, high, low, spec.page_shift, window_shift], 4, &[SUCCESS])?;
        let made = (u64::from(results[1]), u64::from(results[2]) << 32 | u64::from(results[3]));
        if made != (spec.liobn.0, spec.base) {
            let why = format!(
                "made window {:#x} at {:#x} through RTAS where {} at {:#x} was wanted",
                made.0, made.1, spec.liobn, spec.base
            );
            return Err(Loss::new(Way::Garbled, why));
        }
        self.windows.insert(spec.liobn.0, *spec);
        Ok(())
    }

    /// Makes an RTAS call: a hypercall whose argument is the address of a block of 32-bit words. `results` is the
    /// number of result words, of which the first is the status. All earlier requests must have been answered. Returns
    /// the result words. Fails if the machine is lost or the status is none of `wanted`.
    fn rtas(&mut self, token: u32, arguments: &[u32], results: usize, wanted: &[i32]) -> Result<Vec<u32>, Loss> {
        assert!(self.batch.is_empty() && self.mailbox.is_idle(), "an RTAS call between hypercalls");
        let head = [token, arguments.len() as u32, results as u32];
        let block: Vec<u8> = head.iter().chain(arguments).flat_map(|word| word.to_be_bytes()).collect();
        io(self.child.memory.write_all_at(&block, RTAS))?;
        self.batch.call(&Hypercall { opcode: 0xf000, args: [RTAS, 0, 0, 0] });
        self.post()?;
        let waited = self.wait()?;
        let memory = &self.child.memory;
        let returned = io(self.mailbox.take(memory, &waited))?.next().map(|answer| answer.r3);
        self.lost(waited)?;
        let mut bytes = vec![0; 4 * results];
        io(memory.read_exact_at(&mut bytes, RTAS + block.len() as u64))?;
        let words: Vec<u32> =
            bytes.chunks_exact(4).map(|word| word.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))).collect();
        if returned != Some(Status::SUCCESS.0 as u64) || !wanted.contains(&(words[0] as i32)) {
            let why =
                format!("answered RTAS call {token:#x} {arguments:x?} with {returned:x?}, status {}", words[0] as i32);
            return Err(Loss::new(Way::Garbled, why));
        }
        Ok(words)
    }
}

impl Running for Live {
    fn begin(&mut self, machine: &Machine, written: Written, expected: &mut Expected) -> Result<(), Loss> {
        let mut entries = written.entries;
        if written.anything {
            let all = |(liobn, window): (&u64, &WindowSpec)| (Liobn(*liobn), 0..window.entries);
            entries = self.windows.iter().map(all).collect();
            entries.extend(self.board.vio().map(|liobn| (Liobn(liobn), 0..VIO_ENTRIES)));
        }
        if !self.has_exactly(&machine.windows) {
            self.drain(expected)?;
            for made in self.arrange(&machine.windows)? {
                entries.remove(&made);
            }
        }
        for (liobn, entries) in entries {
            let Some(window) = self.window(liobn) else { continue };
            let Some(ioba) = ioba(&window, entries.start) else { continue };
            // A range cannot go past 2^64. Entries beyond have no address, so no call can have written them.
            self.batch.call(&Hypercall::stuff(liobn.0, ioba, 0, entries.end - entries.start));
            self.pushed(false, expected)?;
        }
        Ok(())
    }

    fn has(&self, liobn: Liobn) -> bool {
        self.windows.contains_key(&liobn.0) || u32::try_from(liobn.0).is_ok_and(|reg| self.board.has_vio(reg))
    }

    fn list(&mut self, list: List<'_>, expected: &mut Expected) -> Result<Result<(), Uncovered>, Loss> {
        let List { gpa, words, .. } = list;
        let place = match gpa {
            _ if gpa < RESERVED => {
                let there = self.lists.get(&gpa);
                let same = match &there {
                    Some(there) => there.starts_with(words),
                    None => words.iter().all(|word| *word == 0),
                };
                if !same {
                    let page = self.lists.entry(gpa).or_insert_with(|| Box::new([0; LIST_WORDS]));
                    page[..words.len()].copy_from_slice(words);
                    self.batch.copy(self.mailbox.next_buffer(), gpa, words);
                    self.pushed(false, expected)?;
                }
                return Ok(Ok(()));
            }
            RESERVED..RAM => "where the harness's own things lie in QEMU's memory",
            _ if words.iter().all(|word| *word == 0) => return Ok(Ok(())),
            _ => "past the end of QEMU's memory",
        };
        Ok(Err(format!("the list at {gpa:#x} lies {place}")))
    }

    fn call(&mut self, call: &Hypercall, expected: &mut Expected) -> Result<(), Loss> {
        self.batch.call(call);
        self.pushed(true, expected)
    }

    fn drain(&mut self, expected: &mut Expected) -> Result<(), Loss> {
        if !self.batch.is_empty() {
            if self.mailbox.is_full() {
                self.collect(expected)?;
            }
            self.post()?;
        }
        while !self.mailbox.is_idle() {
            self.collect(expected)?;
        }
        Ok(())
    }

    fn change(&mut self, step: &Step, _: &Reference) -> Result<Result<(), Uncovered>, Loss> {
        match step {
            Step::CreateWindow(spec) => self.open(spec),
            Step::CloseWindow { liobn } => self.close(*liobn),
            _ => Ok(Ok(())),
        }
    }
}

/// Returns the properties of a window that QEMU knows: LIOBN, page shift, base, number of entries.
const fn shape(spec: &WindowSpec) -> (u64, u32, u64, u64) {
    (spec.liobn.0, spec.page_shift, spec.base, spec.entries)
}

/// Returns the LIOBN of the bridge with this index: of its first window for `number` 0, of its second for 1.
const fn liobn(index: u32, number: usize) -> u64 {
    0x8000_0000 | (index as u64) << 8 | number as u64
}

/// Returns the unit identifier (BUID) of the bridge with this index, as two words of 32 bits for RTAS, the high word
/// first.
const fn unit(index: u32) -> [u32; 2] {
    [0x0800_0000, 0x2000_0000 + index]
}

/// Turns an error of the harness's access to the shared memory into a loss of the machine.
fn io<T>(result: io::Result<T>) -> Result<T, Loss> {
    result.map_err(|error| Loss::new(Way::Host, format!("has memory that the harness cannot reach: {error}")))
}
